"""Sweeps of a suite: all combinations of lists of values, and matching of exclude patterns. No torch."""

from __future__ import annotations

import itertools
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from vitmem.bench.cells import Chosen, InnerShared, S, Swept
from vitmem.bench.ids import Config
from vitmem.bench.suite_checks import check_once
from vitmem.contents import by_content
from vitmem.entries import AFTER, Entry
from vitmem.errors import InputError, shown
from vitmem.specs import FILE, Spec, explain

# A larger product is a mistake in the suite.
MOST_CELLS = 200_000
P = typing.TypeVar("P", bound=Spec)


def many(value: Any) -> list[Any]:
    """Return ``value`` if it is a list, else a list with it."""
    return value if isinstance(value, list) else [value]


def plain(value: Config, spec: type[P], where: str) -> Iterator[P]:
    """Yield ``value`` parsed by ``spec``, with defaults, for every combination of its lists."""
    for one in _sweep(value, where, spec):
        yield parsed(one, spec, where)


def parsed(value: Config, spec: type[P], where: str) -> P:
    """Return ``value`` parsed by ``spec``; raises InputError, prefixed with ``where``, for invalid values."""
    try:
        return spec.model_validate(value)
    except ValidationError as error:
        raise InputError(explain(error, where, spec)) from None


def named(value: Config, shared: type[S], where: str, data_dir: Path | None = None) -> Iterator[Chosen[Any, S]]:
    """Yield the entries of ``value``: every combination of its names and parameters.

    Files, looked up in ``data_dir`` too, get the digest of their content. An entry's own parameter takes precedence
    over a shared one of the same name. Raises InputError, prefixed with ``where``, for invalid values.
    """
    key = shared.key
    if not isinstance(value, dict) or key not in value:
        raise InputError(f"{where}: missing key '{key}', got {shown(value)}")
    if value[key] == []:
        raise InputError(f"{where}: '{key}': expected a name or a list of names, got an empty list")
    for name in many(value[key]):
        if not isinstance(name, str):
            raise InputError(f"{where}: '{key}': expected a name or a list of names, got {shown(value[key])}")
        try:
            entry: type[Entry] = shared.registry.get(name)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        inner = AFTER if AFTER in entry.model_fields else ""  # the inner edit, with its own sweeps
        made = [c.config for v in many(value.get(inner, [])) for c in named(v, InnerShared, f"{where}: '{inner}'")]
        for one in _sweep({**value, key: name, **({inner: made} if made else {})}, where, entry, shared):
            common, own = shared.split(one, entry)
            chosen = entry.parse(own, where)
            yield Chosen(by_content(chosen, data_dir), by_content(parsed(common, shared, where), data_dir))


def _sweep(value: Config, where: str, *specs: type[Spec]) -> Iterator[Config]:
    """Yield the product of all lists in place of one value, by the fields of ``specs``."""
    keys, axes = [], []
    for key, item in value.items():
        found = next((spec.model_fields[key] for spec in specs if key in spec.model_fields), None)
        if 0 < _depth(item) <= (0 if found is None else _levels(found)):
            axes.append([tuple(item)])
        else:
            axes.append([tuple(i) if isinstance(i, list) else i for i in many(item)])
        keys.append(key)
        if not axes[-1]:
            raise InputError(f"{where}: '{key}': expected a value or a list of values, got an empty list")
        check_once(axes[-1], f"{where}: '{key}'")
    check_size(list(map(len, axes)), where)
    for values in itertools.product(*axes):
        yield dict(zip(keys, values, strict=True))


def _levels(field: FieldInfo) -> int:
    """Return the list depth of a field's type; a value one level deeper is a sweep."""
    return 0 if any(isinstance(mark, Swept) for mark in field.metadata) else _lists_in(field.annotation)


def _lists_in(annotation: Any) -> int:
    """Return the list depth of a type, the largest of a union."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return max(map(_lists_in, inner))
    if origin is typing.Annotated:
        return _lists_in(inner[0])
    if isinstance(origin or annotation, type) and issubclass(origin or annotation, tuple | list | set | frozenset):
        return 1 + max((_lists_in(one) for one in inner if one is not Ellipsis), default=0)
    return 0


def check_size(lengths: Sequence[int], where: str) -> None:
    """Raise InputError if lists of these lengths have more than MOST_CELLS combinations."""
    if (product := math.prod(lengths)) > MOST_CELLS:
        raise InputError(f"{where}: {product:.3g} combinations, more than {MOST_CELLS:,}; shorten its lists")


def _depth(value: Any) -> int:
    """Return the list depth of ``value``."""
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def holds(cell: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether ``cell`` matches all keys of ``wanted`` (a list in ``wanted`` means any of its values)."""
    for key, value in wanted.items():
        got = cell.get(key)
        if isinstance(got, Mapping) and got.keys() == FILE and not isinstance(value, dict):
            got = got["path"]
        if isinstance(value, dict):
            if not isinstance(got, Mapping) or not holds(got, value):
                return False
        elif not any(_same(got, one) for one in (value if isinstance(value, list) else [value])):
            return False
    return True


def _same(got: Any, wanted: Any) -> bool:
    return bool(got == wanted) and isinstance(got, bool) == isinstance(wanted, bool)  # 1 equals True

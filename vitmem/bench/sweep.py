"""Lists where one value is expected: every combination of them, and which cells a pattern takes out. No torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vitmem.bench.suite_checks import Config, check_once
from vitmem.contents import by_content
from vitmem.entries import AFTER, Entry
from vitmem.errors import InputError, shown
from vitmem.specs import FILE, Spec, explain

# A product of more is a slip: none of its cells would be there in a lifetime.
MOST_CELLS = 200_000


def many(value: Any) -> list[Any]:
    """Return ``value`` as a list, one of itself when it is none."""
    return value if isinstance(value, list) else [value]


def plain(value: Config, spec: type[Spec], where: str) -> Iterator[Config]:
    """Yield ``value`` by ``spec``, defaults filled in and ``None`` left out, for every combination of its lists."""
    for one in _sweep(value, where, spec):
        try:
            yield spec.model_validate(one).model_dump(mode="json", exclude_none=True)
        except ValidationError as error:
            raise InputError(explain(error, where, spec)) from None


def named(
    value: Config, get: Any, common: type[Spec] | None, key: str, where: str, data_dir: Path | None = None
) -> Iterator[Config]:
    """Resolve an entry's name, or several, and its parameters, those that all entries share apart.

    Files among them, in ``data_dir`` or anywhere, get the digest of their content. A parameter of a plug-in that has
    the name of a shared one is its own.
    """
    if not isinstance(value, dict) or key not in value:
        raise InputError(f"{where}: missing key '{key}', got {shown(value)}")
    if value[key] == []:
        raise InputError(f"{where}: '{key}': expected a name or a list of names, got an empty list")
    shared = set(common.model_fields) if common else {key}
    for name in many(value[key]):
        if not isinstance(name, str):
            raise InputError(f"{where}: '{key}': expected a name or a list of names, got {shown(value[key])}")
        try:
            entry: type[Entry] = get(name)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        inner = AFTER if AFTER in entry.model_fields else ""  # an edit itself, with sweeps of its own
        made = [c for v in many(value.get(inner, [])) for c in named(v, get, None, key, f"{where}: '{inner}'")]
        for one in _sweep({**value, key: name, **({inner: made} if made else {})}, where, entry, common):
            apart = shared - (set(entry.model_fields) - {key})
            own = entry.parse({k: v for k, v in one.items() if k not in apart}, where)
            rest = {k: v for k, v in one.items() if k in apart}
            resolved = by_content(next(plain(rest, common, where)), common, data_dir) if common else rest
            given = own.model_dump(mode="json", exclude_none=True)
            yield {**resolved, **by_content(given, entry, data_dir)}


def _sweep(value: Config, where: str, *specs: type[Spec] | None) -> Iterator[Config]:
    """Yield the product over every list that stands where the specs expect one value."""
    keys, axes = [], []
    for key, item in value.items():
        spec = next((s for s in specs if s and key in s.model_fields), None)
        # a parameter that is a list of numbers, or of rows of numbers: a list one level deeper is a sweep
        kind = "" if spec is None else str(spec.model_fields[key].annotation)
        numbered = key == "blocks" and "int" in kind  # those of an edit: several sets of them are a sweep
        levels = 0 if numbered else kind.count("tuple[")
        if 0 < _depth(item) <= levels:
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


def check_size(lengths: Sequence[int], where: str) -> None:
    """Raise InputError when lists of these lengths have more combinations than anybody runs."""
    if (product := math.prod(lengths)) > MOST_CELLS:
        raise InputError(f"{where}: {product:.3g} combinations, more than {MOST_CELLS:,}; shorten its lists")


def _depth(value: Any) -> int:
    """Return how many lists lie around the values of ``value``."""
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def holds(cell: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether ``cell`` has everything that ``wanted`` names (a list in ``wanted`` means any of)."""
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

"""Strict JSON and YAML parsing: repeated keys and missing values are errors. Does not import torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from vitmem.errors import InputError, one_line, shown
from vitmem.files import read_text, short_name

# Far above any suite; larger files would take seconds, or all memory, before they are rejected by content.
LARGEST_YAML, MOST_VALUES, MOST_LEVELS = 256 * 2**10, 200_000, 40
_DEEP = f"lists nested more than {MOST_LEVELS} levels deep"
_TAG = "tag:yaml.org,2002:"


def parse_json(text: str, where: str, hint: str = "", expected: str = "JSON") -> Any:
    """Return the value of the JSON ``text``; ``where`` starts and ``hint`` (a suggestion) ends each error.

    Raises InputError for invalid JSON, a repeated key in one object, NaN, infinity and numbers beyond the range of a
    float (1e999), and for lists nested too deeply.
    """
    end = hint and f"; {hint}"

    def refuse(name: str) -> NoReturn:
        raise InputError(f"{where}: {name} is not a finite number{end}")

    def number(digits: str) -> float:
        value = float(digits)
        return value if abs(value) != float("inf") else refuse(digits[:40])

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            keys = [key for key, _ in pairs]
            double = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{where}: the key '{double[:80]}' comes twice{end}")
        return mapping

    try:
        return json.loads(text, parse_constant=refuse, parse_float=number, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        place = f"{error.msg}, line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: expected {expected}, got invalid JSON ({place}){end}") from None
    except RecursionError:
        raise InputError(f"{where}: expected {expected}, got lists nested too deeply{end}") from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise InputError(f"{where}: {str(error)[:80]}{end}") from None


def read_yaml(path: Path, hint: str = "") -> Any:
    """Return the value of the YAML file ``path``; ``hint`` is a suggestion for a missing one. See ``parse_yaml``."""
    return parse_yaml(read_text(path, "a YAML file", hint, LARGEST_YAML), short_name(path))


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of the YAML ``text``, ``None`` for an empty one; ``where`` starts each error.

    Digits are a number (``1e-3`` too), ``true``, ``yes`` and ``on`` and their opposites are booleans, everything else,
    including times and dates, is a text. Raises InputError with the line for a key that is repeated, is not a text or
    has no value, for tags, numbers with a leading zero (octal in some parsers) or beyond the range of a float or 64
    bits, for several documents, and for aliases or nested lists that expand without bounds.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, 0)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = ", ".join(part[:160] for part in (error.context, error.problem) if part)
        raise InputError(
            f"{where}{place}: {'' if isinstance(error, _Refused) else 'not valid YAML: '}{problem}"
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as an escape of no character
        raise InputError(f"{where}: not valid YAML: {one_line(error, 120)}") from None
    except RecursionError:
        raise InputError(f"{where}: {_DEEP}") from None


class _Loader(yaml.SafeLoader):
    """YAML with everyday numbers: no octal digits, base 60 or dates, and exponents without a point."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  as in the base class

    def fetch_flow_collection_start(self, token: Any) -> None:
        """Begin a list or mapping in brackets; reject deep nesting before it is composed."""
        if self.flow_level > MOST_LEVELS:
            raise _Refused(None, None, _DEEP, self.get_mark())
        super().fetch_flow_collection_start(token)

    def construct_yaml_int(self, node: Any) -> int:
        """Return the number; reject a leading zero and more than 64 bits."""
        digits = node.value.replace("_", "")
        if re.fullmatch(r"[-+]?0[0-9]+", digits):
            raise _problem(node, f"{shown(node.value)} has a leading zero; leave it out, or quote the value as a text")
        if len(digits) > 20 or not -(2**63) <= (number := int(digits, 0)) < 2**63:
            raise _problem(node, f"{shown(node.value)} is a number of more than 64 bits")
        return number

    def construct_yaml_float(self, node: Any) -> float:
        """Return the number; reject NaN and infinity."""
        text = node.value.replace("_", "")
        number = float("nan") if text.strip("+-").startswith((".n", ".N", ".i", ".I")) else float(text)
        if not abs(number) < float("inf"):
            raise _problem(node, f"{shown(node.value)} is not a finite number")
        return number


_NUMBER_STARTS = list("-+0123456789.")
for _name, _pattern, _starts in (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", list("yYnNtTfFoO")),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0x[0-9a-fA-F]+|[0-9][0-9_]*)", _NUMBER_STARTS),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?", _NUMBER_STARTS),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", _NUMBER_STARTS),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _starts)
for _name in ("int", "float"):
    _Loader.add_constructor(_TAG + _name, getattr(_Loader, f"construct_yaml_{_name}"))
_READ = {_TAG + name for name in ("bool", "null", "int", "float", "merge", "str", "seq", "map")}


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not accepted here."""


def _problem(node: yaml.Node, text: str) -> _Refused:
    return _Refused(None, None, text, node.start_mark)


def _check(node: yaml.Node, sizes: dict[yaml.Node, int | None], level: int) -> int:
    """Return the number of values in ``node`` with every alias expanded; raises the errors of ``parse_yaml``.

    ``sizes`` has those of the visited nodes, and ``None`` for those that contain ``node``.
    """
    if node in sizes:
        if (known := sizes[node]) is None:
            raise _problem(node, "an alias that contains itself")
        return known
    if node.tag not in _READ:
        raise _problem(node, f"the tag {shown(node.tag)} is not read here; leave it out")
    if level > MOST_LEVELS:
        raise _problem(node, _DEEP)
    sizes[node], size = None, 1
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        size += sum(_check(value, sizes, level + 1) for _, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        if empty := next((item for item in node.value if _is_empty(item)), None):
            raise _problem(empty, "a list item without a value; write null if that is meant")
        size += sum(_check(item, sizes, level + 1) for item in node.value)
    elif any("\ud800" <= c <= "\udfff" for c in node.value):
        raise _problem(node, "half of a character (a surrogate)")
    if size > MOST_VALUES:
        raise _problem(node, f"more than {MOST_VALUES:,} values, each alias counted as what it stands for")
    sizes[node] = size
    return size


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TAG + "str", _TAG + "merge"):
            got = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list"
            comma = "; a number has a point, not a comma (0.1)" if key.tag == _TAG + "int" and _is_empty(value) else ""
            raise _problem(key, f"expected a name before ':', got {got}{comma or '; quote it if it is one'}")
        if key.value in seen:
            first = seen[key.value]
            raise _problem(key, f"the key {shown(key.value)} comes twice, on line {first} too; join the two")
        seen[key.value] = key.start_mark.line + 1
        if _is_empty(value):
            raise _problem(key, f"the key {shown(key.value)} has no value; write null if that is meant")


def _is_empty(node: yaml.Node) -> bool:
    """Return whether a value is missing."""
    return node.tag == _TAG + "null" and not node.value

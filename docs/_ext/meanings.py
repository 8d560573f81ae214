"""Types, bounds and meanings of the keys of suites and entries, from pydantic's JSON Schema and the docstrings."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from vitmem.specs import Spec

KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "yes or no", "object": "mapping"}
BOUNDS = {
    "exclusiveMinimum": "> {}",
    "minimum": "≥ {}",
    "exclusiveMaximum": "< {}",
    "maximum": "≤ {}",
    "minItems": "at least {} of them",
    "maxLength": "at most {} letters",
    "pattern": "as `{}`",
}
# Specs that a suite has as the name of a file.
FILES = {"File", "Source"}


@dataclass(frozen=True)
class Key:
    """One key of a mapping in a suite; ``default`` is ``None`` for a key that has to be given."""

    name: str
    kind: str
    default: str | None
    meaning: str


def keys_of(spec: type[BaseModel]) -> list[Key]:
    """Return the keys of a mapping in the order of its fields."""
    schema = spec.model_json_schema()
    required, properties = schema.get("required", []), schema.get("properties", {})
    return [
        Key(
            name,
            _kind(properties[name], schema.get("$defs", {})),
            None if name in required else _default(properties[name].get("default", [])),
            meaning(spec, name),
        )
        for name in spec.model_fields
    ]


def _default(value: Any) -> str:
    return "left out" if value is None or value in ([], {}, "") else f"`{json.dumps(value)}`".replace('"', "")


def _kind(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    """Return the type and the bounds of a JSON Schema in words; ``None`` is left out."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "file" if name in FILES else f"mapping, see [{name}](suite.md#{name.lower()})"
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(one, defs) for one in schema["anyOf"] if one.get("type") != "null")
        return " or ".join(kinds)
    if "allOf" in schema:
        return _kind(schema["allOf"][0], defs)
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        return "one of " + ", ".join(f"`{value}`" for value in values)
    bounds = [text.format(f"{schema[key]:g}" if isinstance(schema[key], float) else schema[key])
              for key, text in BOUNDS.items() if key in schema]  # fmt: skip
    if schema.get("type") == "array":
        inner = schema.get("items") or {}
        return ", ".join([f"list ({_kind(inner, defs)})" if inner else "list", *bounds])
    return ", ".join([KINDS.get(schema.get("type", ""), "any value"), *bounds])


def nested(spec: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the mappings inside ``spec`` that are specs of their own."""
    names = spec.model_json_schema().get("$defs", {}).keys() - FILES
    todo, seen = [spec], set()
    while todo:
        for field in todo.pop().model_fields.values():
            for kind in _types(field.annotation):
                if isinstance(kind, type) and issubclass(kind, Spec) and kind.__name__ in names - seen:
                    seen.add(kind.__name__)
                    todo.append(kind)
                    yield kind


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types(inner)


def documentation(spec: type[BaseModel]) -> str:
    """Return the docstring of what the user wrote: of the decorated function, or of the class."""
    function = getattr(spec, "function", None)
    return inspect.cleandoc((inspect.unwrap(function) if function else spec).__doc__ or "")


def meaning(spec: type[BaseModel], name: str) -> str:
    """Return what a key means, "" if nothing says so.

    A clause of a docstring that says what it is, then the field's description (which may be that of its type), then
    a clause that begins with the key, then a sentence that has it.
    """
    texts = [documentation(spec), *(inspect.cleandoc(base.__doc__ or "") for base in spec.__mro__ if base is not spec)]
    sentences = [one for text in texts for one in _sentences(text) if f"``{name}``" in one]
    clauses = [clause for sentence in sentences for clause in _clauses(sentence) if clause.startswith(f"``{name}``")]
    defined = [clause for clause in clauses if re.match(rf"``{name}`` (is|are)\b", clause)]
    begun = [clause for clause in clauses if len(clause.split()) > 2]
    # a sentence that begins with another key is about that one first
    fields = "|".join(map(re.escape, spec.model_fields))
    sentences.sort(key=lambda one: re.match(rf"``(?!{name}``)({fields})``(?! (and|or) |, ``)", one) is not None)
    description = spec.model_fields[name].description
    found = [*defined, *([description] if description else []), *begun, *sentences, ""]
    return found[0].strip().rstrip(".;")


def _clauses(sentence: str) -> list[str]:
    """Split a sentence where a clause about another key begins."""
    return re.split(r"[,;] (?:and )?(?=``)|(?<=[^`\s]) and (?=``)", sentence)


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) (?=[A-Z`])|(?<=;) (?=``)", " ".join(text.split()))

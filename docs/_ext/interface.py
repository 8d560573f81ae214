"""Pages of the fields of a row and of the Python interface, from the code."""

from __future__ import annotations

import importlib
from typing import Any

from reference import prose, rows

import vitmem
from vitmem.registry import Registry
from vitmem.row_schema import row_schema

# What plug-ins and scripts use beside the names of ``vitmem`` itself.
USED = {
    "vitmem.kfac": ("fit", "find_layers", "edited", "edit_matrix", "pairs", "Factors", "LayerFactors", "LayerReport"),
    "vitmem.edits.base": ("EditContext", "EditResult", "Examples"),
    "vitmem.models.base": ("ImageShape", "VisionModel"),
    "vitmem.adapters.vision": ("VisionTask",),
    "vitmem.noise.base": ("NoiseContext",),
    "vitmem.offline.record": ("Record",),
    "vitmem.reports.report": ("Report",),
    "vitmem.errors": ("InputError", "VitmemError"),
}
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "yes or no", "object": "mapping"}


def row() -> str:
    """Return the page of the fields of a row."""
    schema = row_schema()
    lines = ["# The row", "", "Each line of `rows.jsonl` is one cell. `vitmem schema` prints the JSON Schema, "
             "`vitmem show ID` one row for a reader, and `vitmem.load_rows` reads all as a pandas frame."]  # fmt: skip
    for name, one in (("Row", schema), *schema.get("$defs", {}).items()):
        lines += ["", f"## {name}", "", prose(one.get("description", "")), ""]
        required = one.get("required", [])
        found = [(f"`{key}`", _type(value), "yes" if key in required else "")
                 for key, value in one.get("properties", {}).items()]  # fmt: skip
        lines += rows(("field", "type", "always there"), found)
    return "\n".join(lines)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    inner = schema.get("additionalProperties")
    of = f" of {_type(inner)}" if isinstance(inner, dict) and inner else ""
    kinds = schema.get("type", "object")
    return " or ".join(KINDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)) + of


def python() -> str:
    """Return the page of the Python interface, which autodoc fills."""
    lines = ["# Python", "", "```{eval-rst}", ".. currentmodule:: vitmem"]
    for module, names in {"vitmem": tuple(vitmem.__all__), **USED}.items():
        lines += ["", module, "-" * len(module), ""]
        for name in names:
            value = getattr(importlib.import_module(module), name)
            if isinstance(value, Registry):
                text = f"The registry of {name.lower()}: ``{name}.register(name, ...)`` decorates an entry and"
                lines += [f".. py:data:: {name}", "", f"   {text} ``{name}.get(name)`` returns it."]
            else:
                lines += [f".. {'autoclass' if isinstance(value, type) else 'autofunction'}:: {module}.{name}"]
                lines += ["   :members:"] if isinstance(value, type) else []
            lines += [""]
    return "\n".join([*lines, "```"])

"""The edit that another method is made after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vitmem.methods.base import EditContext, EditResult
from vitmem.registry import METHODS
from vitmem.specs import seed_from


def inner_edit(context: EditContext, edit: Mapping[str, Any]) -> EditResult:
    """Return the result of ``edit``, ``{method: ...}`` with its parameters, by the seed that it has when it is alone.

    Raises what the edit raises.
    """
    name = edit["method"]
    entry = METHODS.get(name)
    params = entry.parse({key: value for key, value in edit.items() if key != "method"}, "edit: 'after'")
    seed = seed_from(context.seed, name) if context.seed_of is None else context.seed_of(name)
    layers = context.layers if entry.info.get("blocks", True) else {}
    result: EditResult = entry.load()(replace(context, seed=seed, layers=layers), **params.model_dump())
    return result

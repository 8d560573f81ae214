"""No edit: the trained model as it is, the row that every other one is compared with."""

from __future__ import annotations

from vitmem.methods.base import EditContext, EditResult


def none(context: EditContext) -> EditResult:
    """Return no new weights."""
    return EditResult()

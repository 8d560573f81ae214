"""No edit: the trained model as it is, the row that every other one is compared with."""

from __future__ import annotations

from vitmem.edits.base import EditContext, EditResult
from vitmem.entries import Edit
from vitmem.registry import EDITS


@EDITS.register("none")
class NoEdit(Edit):
    """The trained model as it is.

    It is the baseline of its training: every other edit is measured beside it.
    """

    title, uses, edits_blocks = "base", "data-free", False

    def edit(self, context: EditContext) -> EditResult:
        """Return no new weights."""
        return EditResult()

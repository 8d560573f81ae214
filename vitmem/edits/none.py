"""No edit: the trained model, the baseline of every edit."""

from __future__ import annotations

from vitmem.edits.base import EditContext, EditResult
from vitmem.entries import Edit
from vitmem.registry import EDITS


@EDITS.register("none")
class NoEdit(Edit):
    """The trained model as it is.

    It is the baseline of its training: every other edit is compared with it.
    """

    title, uses, edits_blocks = "base", "data-free", False

    def edit(self, context: EditContext) -> EditResult:
        """Return no new weights."""
        return EditResult()

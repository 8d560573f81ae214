"""Diagnostic: undo part of an edit, as ``vitmem.kfac.Dial`` does in a running network."""

from __future__ import annotations

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.after import AfterEdit
from vitmem.edits.base import EditContext, EditResult
from vitmem.registry import EDITS


@EDITS.register("dial")
class Dial(AfterEdit):
    """Diagnostic: another edit, with a share of what it removed put back.

    turn * W + (1 - turn) * W' for every W (p, q) and bias (p,) that ``after`` changes to W': 0 is the edit, 1 undoes
    it. The report of a matrix describes the whole change; its kept pairs and energy are those of the inner edit,
    interpolated towards all by ``turn``.
    """

    title, uses = "dial", None
    example = {"after": {"method": "kfac", "fraction": 0.3}, "turn": 0.25}
    turn: float = Field(default=0.5, ge=0, le=1)

    def edit(self, context: EditContext) -> EditResult:
        """Return the mixed weights; raises what the inner edit raises."""
        inner = self.edit_before(context)
        result = EditResult(passes=inner.passes)
        for name, new in inner.weights.items():
            path, _, part = name.rpartition(".")
            bias = part == "bias" and name not in inner.reports
            layer = engine.layer_at(context.model, path if bias else name)
            old = layer.bias.detach() if bias else engine.weight_matrix(layer)  # type: ignore[operator]
            mixed = (self.turn * old.double() + (1 - self.turn) * new.double()).to(new)
            # exact at both ends, without rounding
            result.weights[name] = old.to(new) if self.turn == 1 else new if self.turn == 0 else mixed
            if not bias:
                report = inner.reports[name]
                kept = report.kept_pairs + round(self.turn * (report.total_pairs - report.kept_pairs))
                energy = report.kept_energy + self.turn * (1 - report.kept_energy)
                result.reports[name] = engine.replaced(old, result.weights[name], kept, report.total_pairs, energy)
        return result

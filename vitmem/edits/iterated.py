"""The curvature edit in small steps, with new bases after each step.

EigenDamage (Wang et al. 2019, arXiv 1905.05934) prunes in the same bases and also in steps: each step changes the
statistics of later layers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.kfac import ByImportance
from vitmem.errors import InputError
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from vitmem.kfac import Factors


@EDITS.register("iterated")
class Iterated(ByImportance):
    """K-FAC in several steps, the statistics collected anew before each.

    Each of the ``rounds`` edits every W (p, q) with statistics of the network after the previous rounds. Step n of N
    keeps the share fraction^(n/N) of the pairs, or the mass 1 - (1 - mass) n/N, so that the last step is as strong as
    the single edit. Reports describe the whole change; kept pairs and mass are those of the last step, and passes are
    those of the new statistics.
    """

    title = "iterated K-FAC"
    rounds: int = Field(default=4, ge=2)

    def edit(self, context: EditContext) -> EditResult:
        """Edit in steps; raises what ``kfac`` raises, and InputError where statistics cannot be recollected."""
        if context.recollect is None:
            raise InputError(
                "edit: 'iterated' collects statistics anew after each step, which is not possible here; use 'kfac'"
            )
        collected, recollect = 0, context.recollect

        def counted() -> Factors:
            nonlocal collected
            # the moments along the eigenvectors take a second pass
            collected += 2 if self.importance == "ekfac" else 1
            return recollect()

        result = super().edit(replace(context, recollect=counted))
        return replace(result, passes=collected)

    def apply(self, context: EditContext, prepared: Any) -> EditResult:
        """Edit every layer in ``rounds`` steps at the given strength."""
        assert context.recollect is not None
        result = self._step(1).apply_once(context)
        for n in range(2, self.rounds + 1):
            with engine.edited(context.model, result.weights):
                step = self._step(n).apply_once(replace(context, factors=context.recollect()))
            result = _with_total_change(context, result, step)
        return result

    def apply_once(self, context: EditContext) -> EditResult:
        """Edit every layer as ``kfac`` does."""
        return super().apply(context, None)

    def _step(self, n: int) -> Iterated:
        """Return the edit with the strength of step ``n`` of ``rounds``."""
        way = n / self.rounds
        if self.mass is not None:
            return self.model_copy(update={"mass": 1 - (1 - self.mass) * way})
        assert self.fraction is not None
        return self.model_copy(update={"fraction": self.fraction**way})


def _with_total_change(context: EditContext, before: EditResult, step: EditResult) -> EditResult:
    """Return ``step`` with reports of the change from the trained weights W (p, q)."""
    reports = {}
    for path, report in step.reports.items():
        change = float((step.weights[path].double() - context.weight(path).double()).norm())
        reports[path] = replace(
            report,
            # every step is a projection, so the kept energy shares multiply
            kept_energy=before.reports[path].kept_energy * report.kept_energy,
            weight_norm=before.reports[path].weight_norm,
            change_norm=change,
            # the rounding error is that of the last step, relative to the whole change
            cast_error=report.cast_error * report.change_norm / change if change else 0.0,
        )
    return EditResult(step.weights, reports)

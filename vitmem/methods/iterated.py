"""The curvature edit in small steps, the bases made anew of the network that each step leaves.

EigenDamage (Wang et al. 2019, arXiv 1905.05934) prunes in the same bases, and in the same way: what is removed in one
step moves the statistics of the layers behind it.
"""

from __future__ import annotations

from dataclasses import replace

from vitmem.errors import InputError
from vitmem.kfac import Factors, edited
from vitmem.kfac.importance import Importance, Side
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.kfac import kfac
from vitmem.methods.strength import Strength, applied


def iterated(
    context: EditContext,
    *,
    rounds: int = 4,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit ``rounds`` times as ``kfac`` does, each W (p, q) with statistics of what the edits before have left.

    Step n of N keeps the share fraction^(n/N) of the pairs, or the mass 1 - (1 - mass) n/N, so that the last one is as
    strong as the single edit. Reports are of the whole change; kept pairs and mass are those of the last step,
    passes those of the statistics that were collected anew. Raises what ``kfac`` raises, and InputError where
    statistics cannot be collected anew.
    """
    if context.recollect is None:
        raise InputError(
            "edit: 'iterated' collects statistics anew after each step, which cannot be done here; use 'kfac'"
        )

    # the moments along the eigenvectors take a pass of their own
    passes, collected = 2 if importance == "ekfac" else 1, 0

    def recollect() -> Factors:
        nonlocal collected
        collected += passes
        assert context.recollect is not None
        return context.recollect()

    def edit(strength: Strength) -> EditResult:
        result = kfac(context, **_step(strength, 1 / rounds), importance=importance, side=side)
        for n in range(2, rounds + 1):
            with edited(context.model, result.weights):
                anew = replace(context, factors=recollect())
                step = kfac(anew, **_step(strength, n / rounds), importance=importance, side=side)
            result = _after(context, result, step)
        return result

    result = applied(Strength(mass, fraction, match_drop, match_loss), context, edit)
    return replace(result, passes=collected)


def _step(strength: Strength, way: float) -> dict[str, float]:
    """Return the strength of the step that ends at the share ``way`` of the way to ``strength``."""
    if strength.mass is not None:
        return {"mass": 1 - (1 - strength.mass) * way}
    assert strength.fraction is not None
    return {"fraction": strength.fraction**way}


def _after(context: EditContext, before: EditResult, step: EditResult) -> EditResult:
    """Return ``step`` with reports of the change from the weights W (p, q) that were trained."""
    reports = {}
    for path, report in step.reports.items():
        change = float((step.weights[path].double() - context.weight(path).double()).norm())
        reports[path] = replace(
            report,
            # every step is a projection, so the shares of the energy that they keep multiply
            kept_energy=before.reports[path].kept_energy * report.kept_energy,
            weight_norm=before.reports[path].weight_norm,
            change_norm=change,
            # a rounding is that of the last step alone, over the whole change
            cast_error=report.cast_error * report.change_norm / change if change else 0.0,
        )
    return EditResult(step.weights, reports)

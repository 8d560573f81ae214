"""Share of memorized examples in the Fisher: their gradients and those of others, and the curvature along them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, median
from typing import Any

from torch import Tensor

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.bench.statistics import statistics_task
from vitmem.kfac.curvature import Sharpness
from vitmem.kfac.fit import backward_passes
from vitmem.kfac.labels import LabelMode
from vitmem.specs import seed_from

# Labels sampled from the network's probabilities give the Fisher, the given labels the empirical Fisher.
MODES: tuple[tuple[LabelMode, str], ...] = (("sampled", ""), ("given", "_given"))


def fisher(context: AnalysisContext) -> Iterator[Row]:
    """Yield a row for each layer: mean ‖∇W‖² of an example of each set, and the curvature along its gradient.

    ``noisy_share`` is the share of the wrongly labelled examples in the trace of the Fisher, from these means and the
    number of such examples, ``None`` if that is unknown. ``own_*`` are means, ``along_*`` medians in units of the
    layer's mean curvature; ``_given`` marks values under the given labels. Yields nothing without memorized examples.
    """
    if not len(context.sets()[0][0]):
        return
    found = {suffix: [_sharpness(context, mode, pair) for pair in context.sets()] for mode, suffix in MODES}
    counts = context.session.experiment.metadata().get("counts", {})
    for path in context.layers:
        row: Row = {**context.head, "layer": path}
        for suffix, sets in found.items():
            memorized, other = (some[path] for some in sets)
            row[f"own_memorized{suffix}"], row[f"own_other{suffix}"] = fmean(memorized.own), fmean(other.own)
            row[f"along_memorized{suffix}"], row[f"along_other{suffix}"] = median(memorized.along), median(other.along)
            row[f"noisy_share{suffix}"] = _share(counts, fmean(memorized.own), fmean(other.own))
        yield {**row, "examples": len(memorized.own)}


def _sharpness(context: AnalysisContext, mode: LabelMode, pair: tuple[Tensor, Tensor]) -> dict[str, Sharpness]:
    """Return path -> sharpness of a set of examples, one example per pass."""
    experiment = context.session.experiment
    task, _ = statistics_task(context.session, context.request)
    sums = {path: Sharpness(path, context.factors.layers[path]) for path in context.layers}
    batches = (experiment.batch(inputs, labels) for inputs, labels in zip(*(x.split(1) for x in pair), strict=True))
    seed = seed_from("fisher", context.cell.training.id, mode)
    backward_passes(experiment.net, context.layers, task, batches, sums, seed=seed, labels=mode, label_samples=1)
    return sums


def _share(counts: dict[str, Any], memorized: float, other: float) -> float | None:
    """Return the share of the noisy examples in the total, weighted by set sizes; ``None`` without sizes."""
    if "noisy" not in counts or "train" not in counts:
        return None
    noisy = counts["noisy"] * memorized
    total = noisy + (counts["train"] - counts["noisy"]) * other
    return noisy / total if total else None

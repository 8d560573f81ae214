"""Spectra of the curvature and the weight of each layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.kfac import weight_matrix
from vitmem.kfac.spectrum import effective_rank

# Percentages of leading directions with a column for their share of the trace.
FIRST = (1, 2, 5, 10, 20, 50)


def spectrum(context: AnalysisContext) -> Iterator[Row]:
    """Yield a row for each layer of W (p, q): effective ranks as shares of the full rank, and shares of the trace.

    The effective rank of W uses its singular values, those of A and G their eigenvalues. ``a_5`` is the share of the
    trace of A in the first 5 % of its eigenvectors, at least one; for W it is the share of ‖W‖².
    """
    for path, layer in context.layers.items():
        found, weight = context.factors.layers[path], weight_matrix(layer).double().cpu()
        singular = torch.linalg.svdvals(weight)
        sides = {"a": found.eigen_a.values, "g": found.eigen_g.values, "weight": singular.square()}
        ranked = {**sides, "weight": singular}
        yield {
            **context.head,
            "layer": path,
            "outputs": weight.shape[0],
            "inputs": weight.shape[1],
            "weight_norm": float(weight.norm()),
            "trace_a": float(found.a.trace()),
            "trace_g": float(found.g.trace()),
            **{f"effective_rank_{side}": effective_rank(x) / len(x) for side, x in ranked.items()},
            **{f"{side}_{first}": _held(x, first) for side, x in sides.items() for first in FIRST},
        }


def _held(values: Tensor, first: int) -> float:
    """Return the share of the first ``first`` % of ``values`` (n,), descending, in their sum; 0 for zeros."""
    total = float(values.sum())
    return float(values[: max(1, round(first / 100 * len(values)))].sum()) / total if total else 0.0

"""How the curvature and the weight of each layer are spread over directions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.kfac import weight_matrix
from vitmem.kfac.spectrum import effective_rank

# The first so many per cent of the directions, whose part of the trace is told.
FIRST = (1, 2, 5, 10, 20, 50)


def spectrum(context: AnalysisContext) -> Iterator[Row]:
    """Yield a row for each layer of W (p, q): effective ranks, as shares of the full rank, and what a few vectors hold.

    The rank of W is that of its singular values, those of A and G that of their eigenvalues. ``a_5`` is the part of the
    trace of A in the first 5 % of its eigenvectors, at least one; of W it is the part of ‖W‖².
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
    """Return the part of the sum of ``values`` (n,), descending, in the first so many per cent; 0 of zeros."""
    total = float(values.sum())
    return float(values[: max(1, round(first / 100 * len(values)))].sum()) / total if total else 0.0

"""Input norms of memorized and other examples in each layer, by band of the spectrum of its inputs or its weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.kfac import weight_matrix
from vitmem.kfac.bands import band_norms, compare_bands
from vitmem.kfac.capture import entering
from vitmem.kfac.layers import eval_mode

# Examples per forward pass.
BATCH = 8
Bases = Mapping[str, Tensor]


def bands(context: AnalysisContext) -> Iterator[Row]:
    """Yield a row for each band of each layer, in the eigenvectors of A (kfac) and right singular vectors of W (svd).

    ``ratio`` is the ratio of the mean norms in the band, memorized to other; ``share_ratio`` the ratio of the mean
    shares of the squared norm, which weights long and short rows equally (arXiv 2510.24256, figure 2). Yields nothing
    without memorized examples.
    """
    if not len(context.sets()[0][0]):
        return
    for basis, vectors in (("kfac", _eigenvectors(context)), ("svd", _singular_vectors(context))):
        sets = [_norms(context, vectors, pair) for pair in context.sets()]
        for path in context.layers:
            memorized, other = (norms[path] for norms in sets)
            for band in compare_bands(memorized, other, len(vectors[path])):
                yield {
                    **context.head,
                    "layer": path,
                    "basis": basis,
                    "from": band.low,
                    "to": band.high,
                    "vectors": band.vectors,
                    "ratio": band.ratio,
                    "share_ratio": band.share_ratio,
                    "memorized_norm": band.norms[0],
                    "other_norm": band.norms[1],
                    "memorized_share": band.shares[0],
                    "other_share": band.shares[1],
                    "memorized_positions": len(memorized),
                    "other_positions": len(other),
                }


def _eigenvectors(context: AnalysisContext) -> Bases:
    return {path: context.factors.layers[path].eigen_a.vectors for path in context.layers}


def _singular_vectors(context: AnalysisContext) -> Bases:
    """Return the right singular vectors (q, q) of each W (p, q), with a basis of its null space last."""
    weights = {path: weight_matrix(layer).double().cpu() for path, layer in context.layers.items()}
    return {path: torch.linalg.svd(weight, full_matrices=True).Vh.T for path, weight in weights.items()}


@torch.no_grad()
def _norms(context: AnalysisContext, vectors: Bases, pair: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Return path -> norms (n, B) of the positions of a set of examples, B bands."""
    experiment = context.session.experiment
    task, _ = experiment.task(context.request)
    found: dict[str, list[Tensor]] = {path: [] for path in context.layers}
    with eval_mode(experiment.net):
        for inputs, labels in zip(*(part.split(BATCH) for part in pair), strict=True):
            batch = experiment.batch(inputs, labels)

            def see(path: str, activation: Tensor, batch: object = batch) -> None:
                found[path].append(band_norms(vectors[path], task.rows(activation, batch)))

            with entering(context.layers, see):
                task.features(experiment.net, batch)
    return {path: torch.cat(parts) for path, parts in found.items()}

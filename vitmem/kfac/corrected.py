"""The second pass of EK-FAC (George et al. 2018): mean squared gradients along every pair of eigenvectors.

"Fast Approximate Natural Gradient Descent in a Kronecker-factored Eigenbasis" (arXiv 1806.03884) replaces the
eigenvalues λ_i μ_j of the Kronecker product by these mean squares.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import torch.distributed as dist
from torch import Tensor, nn

from vitmem.errors import VitmemError
from vitmem.kfac.factors import Factors, LayerFactors
from vitmem.kfac.fit import backward_passes, fit
from vitmem.kfac.labels import LabelMode, passes
from vitmem.kfac.moments import LayerMoments, Moments, Sum
from vitmem.kfac.task import Task
from vitmem.progress import track

log = logging.getLogger(__name__)

# Number of rows above which the eigendecomposition takes more than a few seconds.
LARGE = 2048


def corrected(
    model: nn.Module, layers: Mapping[str, nn.Module], task: Task, batches: Iterable[Any], factors: Factors
) -> Factors:
    """Return ``factors`` with the mean of (u_iᵀ g)² (v_jᵀ a)², (p, q), of every layer, from a second pass.

    u_i and v_j are the eigenvectors of G and A. Every position is an example: with one position per example this is
    the mean squared gradient of W in these bases. Labels are those of the first pass, so ``batches`` must be the same.
    Raises InputError when the factors are of another model, VitmemError naming a layer with other positions than in
    the first pass.
    """
    factors.check(model, layers)
    labels = cast(LabelMode, factors.metadata["labels"])
    samples, seed = (int(factors.metadata[key]) for key in ("label_samples", "seed"))
    sums = {path: PairMoments(path, factors.layers[path]) for path in layers}
    backward_passes(model, layers, task, batches, sums, seed=seed, labels=labels, label_samples=samples)
    completed = {path: one.completed(passes(labels, samples)) for path, one in sums.items()}
    return Factors({**factors.layers, **completed}, factors.metadata)


def fit_for(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    task: Task,
    batches: Callable[[], Iterable[Any]],
    moments: Moments | Literal["eigen"],
    **options: Any,
) -> Factors:
    """Return the factors from ``fit`` with ``moments`` and ``options``; ``eigen`` adds the second pass.

    ``batches()`` returns the same batches at each call. Raises what ``fit`` and ``corrected`` raise.
    """
    if moments != "eigen":
        return fit(model, layers, task, batches(), moments=moments, **options)
    return corrected(model, layers, task, batches(), fit(model, layers, task, batches(), **options))


def make_spectra(factors: Factors, moments: Moments | Literal["eigen"]) -> None:
    """Compute the spectra that edits read from statistics of these ``moments``.

    Progress is logged at intervals and before each large spectrum.
    """
    if moments not in ("plain", "coupled"):
        return
    for layer in track(factors.layers.values(), "spectra", "layers"):
        if (size := max(len(layer.a), len(layer.g))) >= LARGE:
            log.info(f"spectra: a matrix of {size:,} x {size:,}")
        _ = layer.eigen_a, layer.eigen_g


class PairMoments(LayerMoments):
    """Sums for one layer with known factors over the rows a (n, q) and g (n, p) of each backward pass."""

    def __init__(self, path: str, factors: LayerFactors) -> None:
        super().__init__(path, "plain")
        self.first = factors
        self.output, self.inner = factors.eigen_g.vectors, factors.eigen_a.vectors
        self.pairs = Sum()

    def add_inputs(self, rows: Tensor, product: Tensor | None = None) -> None:
        """Count the rows a (n, q)."""
        self.count += len(rows)

    def add_gradients(self, a: Tensor, g: Tensor) -> None:
        """Add the squared gradients g (n, p) times the squared inputs a (n, q), along each pair."""
        self.output, self.inner = self.output.to(g), self.inner.to(a)
        self.pairs.add((g @ self.output).square(), (a @ self.inner).square())

    def completed(self, passes: int) -> LayerFactors:
        """Return the factors with the mean over the positions of all ranks and over ``passes`` backward passes.

        Raises VitmemError when the number of positions differs from that of the factors.
        """
        if dist.is_available() and dist.is_initialized():
            self._over_ranks()
        total = self.pairs.value()
        if total is None or self.count != self.first.count:
            raise VitmemError(
                f"layer '{self.path}': the second pass saw {self.count} positions, the first {self.first.count}; give "
                "it the same batches"
            )
        first = self.first
        return replace(
            first,
            pairs=total / (self.count * passes),
            g_vectors=first.eigen_g.vectors,
            a_vectors=first.eigen_a.vectors,
        )

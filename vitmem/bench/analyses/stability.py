"""Stability of the bases of an edit: overlap with other data, other seeds and the untrained network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from vitmem.bench.analyses.base import AnalysisContext, Row, Tops
from vitmem.bench.statistics import statistics_task
from vitmem.errors import InputError
from vitmem.kfac import Factors, find_layers, fit
from vitmem.kfac.bands import ENDS, band_sizes
from vitmem.kfac.spectrum import overlap
from vitmem.specs import seed_from


def stability(context: AnalysisContext) -> Iterator[Row]:
    """Yield the overlap of the spaces of the first 10 % of eigenvectors, for A and G of each layer.

    ``with`` names the comparison: the two halves of the batches (``half``, absent for a single batch), the untrained
    network (``initial``, absent for a model that is trained already), and each seed analysed before (``seed 0``).
    ``overlap`` is 1 for equal spaces and ``chance`` on average for a random one.
    """
    own = tops(context.factors, context.layers)
    net = context.session.experiment.net
    if sum(1 for _ in _batches(context)) > 1:
        even = tops(_fit(context, net, lambda n: n % 2 == 0), context.layers)
        odd = tops(_fit(context, net, lambda n: n % 2 == 1), context.layers)
        yield from _compare(context, "half", even, odd)
    before = _initial(context)
    if before is not None:
        yield from _compare(context, "initial", own, before)
    for seed, other in context.seeds.items():
        yield from _compare(context, f"seed {seed}", own, other)


def tops(factors: Factors, layers: Iterable[str]) -> Tops:
    """Return the first 10 % of the eigenvectors of A (q, k) and of G (p, l) of each layer, at least one."""
    found = {path: factors.layers[path] for path in layers}
    return {path: (_top(x.eigen_a.vectors), _top(x.eigen_g.vectors)) for path, x in found.items()}


def _top(vectors: Tensor) -> Tensor:
    return vectors[:, : max(1, band_sizes(len(vectors), ENDS)[0])].clone()


def _compare(context: AnalysisContext, name: str, one: Tops, other: Tops) -> Iterator[Row]:
    for path in context.layers:
        for side, u, v in zip(("a", "g"), one[path], other[path], strict=True):
            chance = u.shape[1] / len(u)
            yield {
                **context.head, "layer": path, "side": side, "with": name, "overlap": overlap(u, v), "chance": chance
            }  # fmt: skip


def _initial(context: AnalysisContext) -> Tops | None:
    try:
        net = context.session.experiment.initial()
    except InputError:
        return None
    return tops(_fit(context, net.to(context.session.device), lambda _: True), context.layers)


def _batches(context: AnalysisContext) -> Iterable[Any]:
    return context.session.experiment.batches(context.request)[0]


def _fit(context: AnalysisContext, net: nn.Module, wanted: Callable[[int], bool]) -> Factors:
    """Return statistics of ``net`` over the batches with a ``wanted`` number, with the options of the suite."""
    request = context.request
    task, _ = statistics_task(context.session, request)
    layers: Mapping[str, nn.Module] = find_layers(net, list(context.layers))
    batches = (batch for n, batch in enumerate(_batches(context)) if wanted(n))
    return fit(
        net,
        layers,
        task,
        batches,
        labels=request.labels,
        label_samples=request.label_samples,
        seed=seed_from("stability", context.cell.training.id),
    )

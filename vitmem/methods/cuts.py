"""CUTS (Mozafari et al. 2025): the way that learning random labels moves the weights, taken back, and its control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from vitmem.errors import VitmemError
from vitmem.kfac.edit import replaced
from vitmem.kfac.layers import matrix_of
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.descent import Descent, stored
from vitmem.methods.salun import classes_of, relabelled
from vitmem.methods.strength import Strength, applied, odds_against
from vitmem.methods.told import batches, proxy_of
from vitmem.specs import seed_from

SEEDS = 2  # trainings on the proxy whose ways are averaged, as published


def cuts(
    context: EditContext,
    *,
    alpha: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    proxy_share: float = 0.02,
    epochs: int = 60,
    lr: float = 1e-4,
    batch_size: int = 64,
) -> EditResult:
    """Return W - ``alpha`` * τ for every W (p, q), τ the mean over two trainings on the proxy of how far W has moved.

    The proxy is ``proxy_share`` as many examples as were trained on, none of them wrongly labelled or to be recited,
    with labels drawn uniformly from all classes (published: held-out images; no label of them is read). A training is
    by AdamW (weight decay 0.01), the learning rate falling along a cosine from ``lr`` to zero; its labels and its order
    are the same whatever the edit's seed, so that the control has the norm of this very τ. Only the given layers are
    trained. To match something, alphas from 0.01 to 100 are searched; exactly one strength is given. Raises InputError
    when there is no proxy, VitmemError when the training diverges or a weight is not finite.

    "Subtract the Corruption" (arXiv 2511.18660) chooses alpha from 0 to 4; here each is a cell.
    """
    vector, passes = task_vector(context, "cuts", proxy_share, epochs, lr, batch_size)
    return _taken_back(context, vector, passes, Strength(own=alpha, match_drop=match_drop, match_loss=match_loss))


def random_task_vector(
    context: EditContext,
    *,
    alpha: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    proxy_share: float = 0.02,
    epochs: int = 60,
    lr: float = 1e-4,
    batch_size: int = 64,
) -> EditResult:
    """Edit as ``cuts`` does, with Gaussian noise (p, q) of the norm of τ in each layer, drawn from the context's seed.

    The direction is the same at every strength. Raises what ``cuts`` raises.
    """
    vector, passes = task_vector(context, "random_task_vector", proxy_share, epochs, lr, batch_size)
    noise = {}
    for path, value in vector.items():
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.device)
        noise[path] = drawn * (value.norm() / drawn.norm())
    return _taken_back(context, noise, passes, Strength(own=alpha, match_drop=match_drop, match_loss=match_loss))


def task_vector(
    context: EditContext, method: str, share: float, epochs: int, lr: float, batch_size: int
) -> tuple[dict[str, Tensor], float]:
    """Return by path how far training on the proxy moves W, (p, q) float64, and the passes over the proxy that it took.

    Raises what ``cuts`` raises, naming ``method``.
    """
    for path in context.layers:
        context.weight(path)  # which has to be finite
    examples, (inputs, labels) = proxy_of(context, method, share)
    classes = classes_of(context, examples, (inputs, labels), method)
    steps = epochs * math.ceil(len(inputs) / batch_size)
    total = {path: torch.zeros_like(stored(layer), dtype=torch.float64) for path, layer in context.layers.items()}
    seen = 0
    for number in range(SEEDS):
        own = replace(context, seed=seed_from("task vector", number))
        descent = Descent(own, method, examples, lr=lr, decay=0.01, adam=True)
        wrong = relabelled(labels, classes, descent.generator)
        step = 0
        for _ in range(epochs):
            for rows in batches(len(inputs), batch_size, descent.generator):
                rate = lr * (1 + math.cos(math.pi * step / steps)) / 2
                descent.step(descent.losses(*descent.at((inputs, wrong), rows)).mean(), rate)
                step += 1
        for path, weight in descent.weights.items():
            total[path] += (weight.detach().double() - stored(context.layers[path]).double()) / SEEDS
        seen += descent.seen
    for path, value in total.items():
        if not torch.isfinite(value).all():
            raise VitmemError(f"{method}: NaN or infinity in the trained weight of layer '{path}'; lower lr")
    vector = {path: matrix_of(context.layers[path], value) for path, value in total.items()}
    return vector, seen / len(inputs)


def _taken_back(context: EditContext, vector: Mapping[str, Tensor], passes: float, strength: Strength) -> EditResult:
    """Return W - alpha * ``vector`` for every W (p, q); the report counts every weight as kept."""

    def edit(strength: Strength) -> EditResult:
        alpha = strength.value(lambda share: math.sqrt(odds_against(share)))
        result = EditResult(passes=passes)
        for path, value in vector.items():
            weight = context.weight(path)
            new = (weight.double() - alpha * value).to(weight.dtype)
            energy = float(new.double().square().sum() / weight.double().square().sum()) if weight.any() else 1.0
            result.weights[path] = new
            result.reports[path] = replaced(weight, new, weight.numel(), weight.numel(), energy)
        return result

    return applied(strength, context, edit)

"""One pass over batches that collects the statistics of a set of layers (method.md, section 1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.errors import VitmemError
from vitmem.kfac.capture import captured
from vitmem.kfac.checks import check_given, check_gradients, check_layers
from vitmem.kfac.factors import Factors, model_fingerprint, weight_fingerprint
from vitmem.kfac.labels import Cotangent, Elsewhere, LabelMode, cotangents, passes
from vitmem.kfac.layers import eval_mode, weight_matrix
from vitmem.kfac.moments import LayerMoments, Moments, check_finite, finite
from vitmem.kfac.task import Task

# Logits (rows times classes) in memory at a time: 64 MiB of probabilities in float64.
CHUNK = 2**23


def fit(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    task: Task,
    batches: Iterable[Any],
    *,
    seed: int,
    labels: LabelMode = "sampled",
    label_samples: int = 1,
    moments: Moments = "plain",
    metadata: Mapping[str, str] | None = None,
) -> Factors:
    """Return A = mean a aᵀ (q, q) and G = mean g gᵀ (p, p) of every layer over the counted positions.

    a is a row of the layer's input, g the gradient of the summed loss at its output. The result does not depend on the
    batch size, and a layer's result is bit-identical whichever other layers are captured. ``moments`` adds the
    diagonals, or all, of mean |g|² a aᵀ and mean |a|² g gᵀ. The model runs in eval mode with frozen parameters; modes
    and flags are restored. Raises VitmemError naming the layer for NaN in weights, activations or gradients, and for a
    layer that saw no data.
    """
    check_layers(model, layers)
    _check_weights(model)
    sums = {path: LayerMoments(path, moments) for path in layers}
    backward_passes(model, layers, task, batches, sums, seed=seed, labels=labels, label_samples=label_samples)
    averaged = passes(labels, label_samples)
    facts = {
        "labels": labels,
        "label_samples": str(label_samples),
        "seed": str(seed),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "model": model_fingerprint(model),
        "weights": json.dumps({path: weight_fingerprint(weight_matrix(layer)) for path, layer in layers.items()}),
        **(metadata or {}),
    }
    layer_factors = {path: s.factors(averaged) for path, s in sums.items()}
    check_finite(layer_factors)
    return Factors(layer_factors, facts)


def backward_passes(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    task: Task,
    batches: Iterable[Any],
    sums: Mapping[str, LayerMoments],
    *,
    seed: int,
    labels: LabelMode,
    label_samples: int,
) -> None:
    """Add the rows a (n, q) and g (n, p) of every layer to ``sums``, in every backward pass of every batch.

    The model runs in eval mode with frozen parameters. A batch may be ``Elsewhere``, read by another rank: an example
    has the same random label on any number of ranks. Raises VitmemError when the logits depend on no layer.
    """
    check_gradients(model)
    generator = torch.Generator().manual_seed(seed)
    skipped: list[Elsewhere] = []
    with _frozen(model), _reproducible(), captured(layers, sums, task.rows) as state, torch.enable_grad():
        for batch in batches:
            if isinstance(batch, Elsewhere):
                skipped.append(batch)
                continue
            state.begin_batch(batch)
            features = task.features(model, batch)  # (N, d)
            if not features.requires_grad:
                raise VitmemError(
                    f"layer '{next(iter(layers))}' saw no data: the logits do not depend on any chosen layer"
                )
            with state.head():
                classes = task.logits(model, features[:1].detach()).shape[1]
            given = check_given(task.given(batch), len(features), classes, labels)
            for other in skipped:  # how much is drawn of them depends on the number of classes
                other.skip(classes, labels, label_samples, generator)
            skipped.clear()
            todo = cotangents(given.to(features.device), classes, labels, label_samples, generator)
            for cotangent, last in _marked(todo):
                with state.head():
                    gradient = _through_head(model, task, features.detach(), classes, cotangent)
                features.backward(gradient, retain_graph=not last)
                state.first_pass = False


def _through_head(model: nn.Module, task: Task, features: Tensor, classes: int, cotangent: Cotangent) -> Tensor:
    """Return the gradient of the summed loss with respect to ``features`` (N, d), a slice of rows at a time."""
    gradient = torch.empty_like(features)
    size = max(1, CHUNK // classes)
    for start in range(0, len(features), size):
        rows = slice(start, start + size)
        part = features[rows].requires_grad_()
        logits = task.logits(model, part)  # (n, K)
        (gradient[rows],) = torch.autograd.grad(logits, part, cotangent(logits, rows))
    return gradient


def _marked(items: Iterable[Cotangent]) -> Iterator[tuple[Cotangent, bool]]:
    """Yield every item with a flag for the last one, holding at most two."""
    rest = iter(items)
    item = next(rest, None)
    while item is not None:
        following = next(rest, None)
        yield item, following is None
        item = following


def _check_weights(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if not finite(parameter):
            raise VitmemError(f"weights: NaN or infinity in '{name}'; was the model trained to the end?")


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode with all parameters frozen, and restore it afterwards."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with eval_mode(model):
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)


@contextmanager
def _reproducible() -> Iterator[None]:
    """Disable TF32 and similar modes, and fix torch's attention kernel.

    Ten bits of mantissa are noise at the bottom of a spectrum. The fused path of ``nn.MultiheadAttention``, which
    rounds differently, is only used for inputs without gradients: in the blocks below the lowest captured layer.
    """
    precision, fused = torch.get_float32_matmul_precision(), torch.backends.mha.get_fastpath_enabled()
    torch.set_float32_matmul_precision("highest")
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.mha.set_fastpath_enabled(fused)

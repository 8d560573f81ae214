"""The classifier of a network, its last linear layer, and the classifier's inputs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vitmem.errors import InputError, VitmemError
from vitmem.kfac import find_layers


def classifier(net: nn.Module, run: Iterator[Tensor], who: str) -> tuple[str, nn.Linear]:
    """Return the linear layer of ``net`` that outputs the logits, one row per example, and its path.

    Reading ``run`` runs the network once and yields the logits (n, K). Raises InputError, naming ``who``, when the
    logits are not the output of a linear layer.
    """
    calls: list[tuple[str, Tensor]] = []
    linear = [(path, module) for path, module in net.named_modules() if isinstance(module, nn.Linear)]
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, path=path: calls.append((path, out)))
        for path, module in linear
    ]
    try:
        (logits,) = run
    finally:
        for hook in hooks:
            hook.remove()
    path, out = calls[-1] if calls else ("", torch.empty(0))
    if not torch.equal(out.to(logits).nan_to_num(), logits.nan_to_num()):
        raise InputError(
            f"{who} needs a classifier, whose logits are the output of a linear layer, one row per example; this "
            "network has none"
        )
    layer = find_layers(net, [path])[path]
    assert isinstance(layer, nn.Linear)
    return path, layer


def collect_features(layer: nn.Linear, run: Iterator[Tensor], who: str) -> Tensor:
    """Return the inputs of ``layer`` while ``run`` runs the network, (n, q) float64 on the CPU.

    Raises VitmemError, naming ``who``, when features are not finite.
    """
    collected: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _module, args: collected.append(args[0].double().cpu()))
    try:
        for _ in run:
            pass
    finally:
        hook.remove()
    features = torch.cat(collected)
    if not torch.isfinite(features).all():
        raise VitmemError(f"{who}: NaN or infinity in the features; was the model trained to the end?")
    return features

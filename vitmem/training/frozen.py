"""A network of which only some parameters are trained."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm


@contextmanager
def frozen(net: nn.Module, trained: Collection[str]) -> Iterator[None]:
    """Inside, the parameters of ``net`` need no gradient except those ``trained``, by name; the exit restores them.

    Batch normalisation without such a parameter uses its running statistics and does not update them, also while the
    rest of the network is in train mode.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    layers = {name.rpartition(".")[0] for name in trained}
    still = [m for path, m in net.named_modules() if isinstance(m, BatchNorm) and path not in layers]
    modes = [(module, module.training) for module in still]
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name in trained)
    for module in still:
        module.eval()
    try:
        with warnings.catch_warnings():
            # Lightning takes modules in eval mode for a slip
            warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode", UserWarning)
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.train(mode)

"""Convolutions as linear layers: every position of the output reads one patch of the input.

A convolution of one group is W (p, C kh kw) times patches (im2col). Its statistics treat every output position as a
row, like a token: KFAC-expand of Eschenhagen et al. (2023, arXiv 2311.00636), after Grosse and Martens (2016, arXiv
1602.01407), who sum where this averages.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vitmem.kfac.layers import is_conv2d


def geometry(layer: nn.Module) -> tuple[object, ...]:
    """Return the settings that determine the rows of ``layer``, equal for layers that read the same rows."""
    if not is_conv2d(layer):
        return ()
    assert isinstance(layer, nn.Conv2d)
    return layer.kernel_size, layer.stride, layer.dilation, layer.padding, layer.padding_mode


def inputs_of(layer: nn.Module, activation: Tensor) -> Tensor:
    """Return the input of each output position, (B, ..., q): patches of a map (B, C, H, W), or the activation."""
    if not is_conv2d(layer):
        return activation
    assert isinstance(layer, nn.Conv2d)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(activation, _padding(layer), mode)
    places = [
        (size - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, dilation, stride in zip(
            padded.shape[2:], layer.kernel_size, layer.dilation, layer.stride, strict=True
        )
    ]
    columns = functional.unfold(padded, layer.kernel_size, layer.dilation, stride=layer.stride)  # (B, q, H' W')
    return columns.transpose(1, 2).unflatten(1, places)


def outputs_of(layer: nn.Module, output: Tensor) -> Tensor:
    """Return ``output``, or its gradient, with one position per row (B, ..., p); a map is (B, p, H', W')."""
    return output.movedim(1, -1) if is_conv2d(layer) else output


def _padding(layer: nn.Conv2d) -> list[int]:
    """Return the padding left, right, above and below; ``same`` puts an odd pixel right and below."""
    sides: list[int] = []
    for axis in (1, 0):
        if layer.padding == "same":
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            sides += [total // 2, total - total // 2]
        else:
            sides += [0 if isinstance(layer.padding, str) else int(layer.padding[axis])] * 2
    return sides

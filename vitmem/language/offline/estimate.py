"""Estimate the cost of a language model's statistics from its config: memory, operations, time on this machine.

Two operations are counted for each weight in a product with a token. A token passes forward through all blocks
(attention to half a row) and the head, and its gradient back through the head and the blocks down to the lowest
captured one, counted whole, where only activations are differentiated. In addition each layer's A takes 2 q² and its G
2 p² operations per token, in float32.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from vitmem.kfac.layers import is_linear, weight_matrix
from vitmem.language.models.language_layers import ROLES, language_blocks, mlp_layers
from vitmem.language.offline.presets import FitSettings

# Weight dtypes by name.
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Cost:
    """Bytes and operations of a run; ``shapes`` are (p, q) by layer, operations those of all ``tokens``."""

    parameters: int
    model_bytes: int
    shapes: dict[str, tuple[int, int]]
    tokens: int
    model_operations: float
    product_operations: float

    @property
    def factor_bytes(self) -> int:
        """Bytes of every A and G in float32, as summed on the device; the float64 sums take twice that in addition."""
        return sum(4 * (p * p + q * q) for p, q in self.shapes.values())


def cost_of(model: nn.Module, settings: FitSettings, tokens: int) -> Cost:
    """Return the cost of ``tokens`` tokens in rows of ``settings.length`` for a model, possibly on ``meta``."""
    paths = language_blocks(model)
    chosen = mlp_layers(model, settings.blocks, settings.roles)
    shapes = {path: (int(s[0]), int(s[1])) for path in chosen if (s := weight_matrix(model.get_submodule(path)).shape)}
    lowest = min(n for n, place in enumerate(paths) if any(path.startswith(f"{place}.") for path in chosen))
    attention = 2 * settings.length * model.config.hidden_size  # type: ignore[union-attr, operator]
    blocks = [_operations(model.get_submodule(place)) + attention for place in paths]
    head = 2 * model.get_output_embeddings().weight.numel()  # type: ignore[operator]
    products = sum(2 * p * p for p, _ in shapes.values()) + sum(2 * q * q for q in _inputs(shapes).values())
    parameters = sum(p.numel() for p in model.parameters())
    return Cost(
        parameters=parameters,
        model_bytes=parameters * DTYPES[settings.dtype].itemsize,
        shapes=shapes,
        tokens=tokens,
        model_operations=float(tokens * (sum(blocks) + sum(blocks[lowest:]) + 2 * head)),
        product_operations=float(tokens * products),
    )


def _inputs(shapes: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Return q for every computed product of inputs: gate and up, which read the same rows, share theirs."""
    return {
        path if ROLES[path.rpartition(".")[2]] == "down" else path.rpartition(".")[0]: q
        for path, (_, q) in shapes.items()
    }


def _operations(block: nn.Module) -> int:
    """Return the operations of one token in the matrices of a block."""
    return sum(2 * weight_matrix(module).numel() for module in block.modules() if is_linear(module))


def rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the operations per second of ``device`` in a matrix product in ``dtype``."""
    size = 4096 if device.type == "cuda" else 512
    one = torch.ones(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        float((one @ one)[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best

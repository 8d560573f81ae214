"""Sums of outer products over positions: accumulated in float32, flushed to float64."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from vitmem.errors import VitmemError
from vitmem.kfac.factors import LayerFactors

Moments = Literal["plain", "mean", "diagonal", "coupled"]
# Batches between two flushes; longer float32 sums would lose the bottom of the spectrum.
FLUSH_EVERY = 8
# Columns in a block of a symmetric product on a CPU: 768 columns take 0.54 of the time of the whole product
# (2,080 rows, float32, one core, torch 2.14). A GPU computes one large product.
BLOCK = 128


class Sum:
    """A running sum of (rows, cols) products: float32 while short, float64 in the long run."""

    def __init__(self) -> None:
        self._short: Tensor | None = None
        self._long: Tensor | None = None
        self._batches = 0

    def add(self, left: Tensor, right: Tensor) -> None:
        """Add leftᵀ right; (n, f) and (n, h) give (f, h)."""
        if self._short is None:
            self._short = left.new_zeros(left.shape[1], right.shape[1])
        self._short.addmm_(left.T, right)
        self._counted()

    def add_symmetric(self, left: Tensor, right: Tensor) -> None:
        """Add leftᵀ right (f, f), known to be symmetric, on and above the block diagonal only."""
        if self._short is None:
            self._short = left.new_zeros(left.shape[1], left.shape[1])
        add_upper(self._short, left, right)
        self._counted()

    def add_product(self, product: Tensor) -> None:
        """Add a precomputed product (f, h)."""
        self._short = product.clone() if self._short is None else self._short.add_(product)
        self._counted()

    def _counted(self) -> None:
        self._batches += 1
        if self._batches >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Move the float32 sum to float64."""
        if self._short is not None:
            short = self._short.to("cpu", torch.float64, copy=True)
            self._long = short if self._long is None else self._long.add_(short)
            self._short.zero_()
        self._batches = 0

    def over_ranks(self) -> None:
        """Add up the sums of all ranks of the default process group; an unused sum stays empty."""
        self.flush()
        if self._long is None:
            return
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"  # NCCL only handles GPU memory
        total = self._long.to(device)
        dist.all_reduce(total)
        self._long = total.cpu()

    def value(self) -> Tensor | None:
        """Return the sum so far (f, h), float64 on the CPU."""
        self.flush()
        return self._long

    def symmetric(self) -> Tensor | None:
        """Return the sum of symmetric products so far, completed to (f, f), float64 on the CPU."""
        whole = self.value()
        for start in range(0, 0 if whole is None else len(whole), BLOCK):
            assert whole is not None
            end = start + BLOCK
            whole[end:, start:end] = whole[start:end, end:].T
            corner = whole[start:end, start:end]
            corner.copy_((corner + corner.T) / 2)
        return whole


def add_upper(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add leftᵀ right, (n, f) and (n, f), to ``total`` (f, f) on and above the block diagonal."""
    size = len(total)
    block = BLOCK if total.device.type == "cpu" else max(size, 1)
    for start in range(0, size, block):
        end = start + block
        total[start:end, start:].addmm_(left[:, start:end].T, right[:, start:])


class LayerMoments:
    """Sums for one layer over the rows a (n, q) and g (n, p) of each backward pass."""

    def __init__(self, path: str, moments: Moments) -> None:
        self.path = path
        self.moments = moments
        self.count = 0
        self.a, self.g = Sum(), Sum()
        self.a_coupled, self.g_coupled = Sum(), Sum()
        self.a_diagonal, self.g_diagonal = Sum(), Sum()
        self.a_mean = Sum()

    def add_inputs(self, rows: Tensor, product: Tensor | None = None) -> None:
        """Count the rows a (n, q), once per forward pass regardless of the number of backward passes.

        ``product`` is aᵀa (q, q), when another layer with the same rows has computed it.
        """
        self.count += len(rows)
        if self.moments == "mean":
            self.a_mean.add(rows.new_ones(len(rows), 1), rows)  # (1, q)
        if product is None:
            self.a.add_symmetric(rows, rows)
        else:
            self.a.add_product(product)

    def add_gradients(self, a: Tensor, g: Tensor) -> None:
        """Add the gradients g (n, p) of one backward pass, and their coupled moments with the inputs a (n, q)."""
        self.g.add_symmetric(g, g)
        if self.moments in ("plain", "mean"):
            return
        a2, g2 = a.square(), g.square()  # (n, q), (n, p)
        a_norm, g_norm = a2.sum(1, keepdim=True), g2.sum(1, keepdim=True)  # (n, 1)
        self.a_diagonal.add(g_norm, a2)  # (1, q)
        self.g_diagonal.add(a_norm, g2)  # (1, p)
        if self.moments == "coupled":
            self.a_coupled.add_symmetric(a * g_norm, a)
            self.g_coupled.add_symmetric(g * a_norm, g)

    def factors(self, passes: int) -> LayerFactors:
        """Return means over positions; gradients are also averaged over ``passes`` backward passes.

        Under ``torch.distributed`` means are over the positions of all ranks. Raises VitmemError, naming the layer,
        when no position or no gradient reached it.
        """
        if dist.is_available() and dist.is_initialized():
            self._over_ranks()
        a, g = self.a.symmetric(), self.g.symmetric()
        if a is None or g is None or self.count == 0:
            raise VitmemError(
                f"layer '{self.path}' saw no data: no position of its input or no gradient of its output reached it; "
                "leave out a layer that the network does not call, such as the out_proj of nn.MultiheadAttention"
            )
        weighted = self.count * passes
        out: dict[str, Tensor] = {"a": a / self.count, "g": g / weighted}
        if (mean := self.a_mean.value()) is not None:
            out["a_mean"] = mean.flatten() / self.count
        for name in ("a_diagonal", "g_diagonal"):
            if (value := getattr(self, name).value()) is not None:
                out[name] = value.flatten() / weighted
        for name in ("a_coupled", "g_coupled"):
            if (value := getattr(self, name).symmetric()) is not None:
                out[name] = value / weighted
        trace = float(out["a_diagonal"].sum()) if "a_diagonal" in out else None
        return LayerFactors(count=self.count, trace=trace, **out)

    def _over_ranks(self) -> None:
        """Add up the sums of all ranks once, at the end; equal to one long pass."""
        counts: list[int] = [0] * dist.get_world_size()
        dist.all_gather_object(counts, self.count)
        if 0 in counts:
            raise VitmemError(f"layer '{self.path}' saw no data on rank {counts.index(0)}; give every rank batches")
        self.count = sum(counts)
        for value in vars(self).values():
            if isinstance(value, Sum):
                value.over_ranks()


def finite(value: Tensor) -> bool:
    """Return whether all numbers of ``value`` (n, ...) are finite; their sum is ten times faster than a mask."""
    return math.isfinite(float(value.detach().sum(dtype=torch.float64))) or bool(torch.isfinite(value).all())


def check_finite(layers: Mapping[str, LayerFactors]) -> None:
    """Raise VitmemError naming the first layer with NaN or infinity.

    ``layers`` are in forward order: bad activations spread to later layers, bad gradients to earlier ones.
    """
    for path, layer in layers.items():
        _require_finite(path, "activations", layer.a)
    for path, layer in reversed(list(layers.items())):
        _require_finite(path, "gradients", layer.g)


def _require_finite(path: str, what: str, value: Tensor) -> None:
    if not finite(value):
        raise VitmemError(f"layer '{path}': NaN or infinity in its {what}; was the model trained to the end?")

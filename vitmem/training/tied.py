"""Example-tied dropout (Maini et al., ICML 2023): each example has hidden units of its own while a network trains.

The first units of an MLP are fixed: they are there for every example. Each of the others, the memory units, is there
for an example with probability p_mem, drawn once: the same ones in every epoch. What is peculiar to an example can be
learned by its own units, which hardly any other example trains.

The scales are those of the published code (pratyushmaini/localizing-memorization, models/dropout.py), which are not
those of torch's dropout: in training a unit that is there counts as it is, not divided by p_mem. At test a fixed unit
is left as it is and a memory unit is multiplied with p_mem, so that the input of the next layer is on average what it
was in training. The published code draws the masks from ``torch.manual_seed(id)`` when it first sees an id, into a
table of 60,000. Here a unit is on where a hash of seed, layer, id and unit is small: nothing is kept, and the order
of the examples, the device and a resumed run do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vitmem.errors import InputError
from vitmem.recipe import ExampleTied
from vitmem.specs import seed_from

WORD = 0xFFFFFFFF


class TiedUnits:
    """The inputs of ``layers`` (path -> linear layer that reads hidden units), tied to examples.

    Inside ``attached`` a layer in training mode reads the units of the examples that ``choose`` has named, one in
    evaluation mode reads all, the memory units times p_mem; ``fold`` then makes the latter a matter of the weights.
    Raises InputError when none or all units of a layer would be fixed.
    """

    def __init__(self, layers: Mapping[str, nn.Linear], tied: ExampleTied, seed: int) -> None:
        self._layers = layers
        self._tied = tied
        self._fixed = {path: tied.fixed_units(layer.in_features) for path, layer in layers.items()}
        self._keys = {path: seed_from("example_tied", seed, path) & WORD for path in layers}
        self._ids: Tensor | None = None

    def choose(self, ids: Tensor) -> None:
        """Say which examples the next batch has: ids (B,) int64, not negative."""
        self._ids = ids

    def mask(self, path: str, ids: Tensor) -> Tensor:
        """Return which units of the layer ``path`` are there for examples ``ids`` (B,), (B, h) bool."""
        fixed, hidden = self._fixed[path], self._layers[path].in_features
        # one to one in ids below 2^32, so that no two of these have the same word to begin with
        state = _mixed(_mixed((ids & WORD) ^ self._keys[path]) ^ (ids >> 32))
        unit = torch.arange(1, hidden - fixed + 1, device=ids.device) * 0x9E3779B9 & WORD
        memory = _mixed(state[:, None] ^ unit) < round(self._tied.memory * 2**32)
        return torch.cat([memory.new_ones(len(ids), fixed), memory], 1)

    def gains(self, path: str) -> Tensor:
        """Return what each unit of the layer ``path`` is multiplied with at test, (h,) float32."""
        gains = torch.full((self._layers[path].in_features,), self._tied.memory)
        gains[: self._fixed[path]] = 1
        return gains

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Inside, the layers read tied units."""
        handles = [
            layer.register_forward_pre_hook(lambda layer, args, path=path: self._read(path, layer, *args))
            for path, layer in self._layers.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _read(self, path: str, layer: nn.Module, units: Tensor) -> Tensor:
        """Return what the layer reads of ``units`` (B, ..., h)."""
        if not layer.training:
            return units * self.gains(path).to(units)
        assert self._ids is not None, "examples are chosen before each batch"
        if len(units) != len(self._ids):
            raise InputError(
                f"recipe: 'example_tied': layer '{path}' is called with {len(units)} rows for {len(self._ids)} "
                "images, so whose units they are is not known; name other 'blocks'"
            )
        mask = self.mask(path, self._ids)
        return units * mask.reshape(len(mask), *[1] * (units.ndim - 2), -1).to(units)

    @torch.no_grad()
    def fold(self) -> None:
        """Multiply the weights of the memory units with p_mem: the network at test, without anything attached."""
        for path, layer in self._layers.items():
            layer.weight.mul_(self.gains(path).to(layer.weight))


def _mixed(word: Tensor) -> Tensor:
    """Return a hash of each of ``word`` (...), int64 from 0 to 2^32 - 1, one to one.

    The constants are C. Wellons' (hash-prospector, public domain); both are below 2^31, so no product overflows.
    """
    word = (word ^ word >> 16) * 0x21F0AAAD & WORD
    word = (word ^ word >> 15) * 0x735A2D97 & WORD
    return word ^ word >> 15

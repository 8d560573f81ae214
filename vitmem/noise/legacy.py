"""Noise as implemented by published code that differs from its paper; for replication only."""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.counts import pick
from vitmem.registry import NOISES

BLOCK = 5


@NOISES.register(
    "maini_offset_legacy", summary="for replication: symmetric without the class before the true one (Maini 2023)"
)
def maini_offset_legacy(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate) -> Labels:
    """Give exactly round(rate * n) images the label y + offset mod K, the offset uniform over 1 to K - 2.

    The class before the true one is never drawn (code of Maini et al. 2023); ``symmetric`` draws all others. Raises
    InputError for fewer than three classes.
    """
    if context.num_classes < 3:
        raise InputError(
            f"noise 'maini_offset_legacy': expected a data set of three classes or more, got {context.num_classes}; "
            "use 'symmetric'"
        )
    chosen = rng.permutation(len(clean))[: round(rate * len(clean))]
    given = clean.copy()
    given[chosen] = (clean[chosen] + rng.integers(1, context.num_classes - 1, size=len(chosen))) % context.num_classes
    return given


@NOISES.register(
    "asym_block5_legacy",
    summary="for replication: cyclic blocks of five classes, which are not CIFAR-100's superclasses",
)
def asym_block5_legacy(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate) -> Labels:
    """Give ``rate`` of each class the next label, cyclically inside its block of classes 5i to 5i + 4.

    Much published code treats these blocks as CIFAR-100's superclasses, but only 6 of the 100 flips stay inside one;
    ``asymmetric`` uses the superclasses. Counts are exact in each class. Raises InputError when the number of classes
    is not a multiple of five.
    """
    if context.num_classes % BLOCK:
        raise InputError(
            f"noise 'asym_block5_legacy': expected a data set with a multiple of {BLOCK} classes, as CIFAR-100 has, "
            f"got {context.num_classes}; use 'asymmetric' or 'pair'"
        )
    chosen = pick(clean, range(context.num_classes), rate, rng)
    given = clean.copy()
    given[chosen] = clean[chosen] // BLOCK * BLOCK + (clean[chosen] + 1) % BLOCK
    return given

"""Symmetric noise over all classes including the true one (DivideMix; ELR; Zhang et al. 2017).

The realised share of wrong labels is rate * (K - 1) / K: of a nominal 10 %, 9.0 % on CIFAR-10 and 9.9 % on CIFAR-100.
"""

from __future__ import annotations

import numpy as np

from vitmem.noise.base import Labels, Mask, NoiseContext, Rate, Stratified
from vitmem.noise.symmetric import choose
from vitmem.registry import NOISES


@NOISES.register(
    "symmetric_inclusive", summary="exactly rate * n labels, uniform over all classes: some stay right (DivideMix)"
)
def symmetric_inclusive(
    clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate, stratified: Stratified = None
) -> tuple[Labels, Mask]:
    """Give exactly round(rate * n) images a label uniform over all K classes.

    Returns the labels and the mask of chosen images, both (n,): about one in K of these keeps its true label. With
    ``stratified`` every class has its share of them, to within one image.
    """
    positions = choose(clean, context.num_classes, rate, stratified, rng)
    given, chosen = clean.copy(), np.zeros(len(clean), dtype=np.bool_)
    given[positions] = rng.integers(0, context.num_classes, size=len(positions))
    chosen[positions] = True
    return given, chosen

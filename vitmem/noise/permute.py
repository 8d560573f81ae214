"""Permuted labels: chosen images exchange their labels among themselves (Goel et al. 2024, corrective unlearning)."""

from __future__ import annotations

import numpy as np

from vitmem.noise.base import Labels, Mask, NoiseContext, Rate, Stratified
from vitmem.noise.symmetric import choose
from vitmem.registry import NOISES


@NOISES.register("permute", summary="exactly rate * n images exchange their labels: some stay right")
def permute(
    clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate, stratified: Stratified = None
) -> tuple[Labels, Mask]:
    """Permute the labels of exactly round(rate * n) random images: every class keeps its number of labels.

    Returns the labels and the mask of chosen images, both (n,): about one in K of these keeps its true label. With
    ``stratified`` every class has its share of them, to within one image.
    """
    positions = choose(clean, context.num_classes, rate, stratified, rng)
    given, chosen = clean.copy(), np.zeros(len(clean), dtype=np.bool_)
    given[positions] = clean[rng.permutation(positions)]
    chosen[positions] = True
    return given, chosen

"""Symmetric noise with an exact count: the default meaning of "10 % random labels" here.

Other papers use the name for other noise: each label independently (``symmetric_iid``), or uniform over *all* classes
(``symmetric_inclusive``), which mislabels the share rate * (K - 1) / K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate, Stratified
from vitmem.noise.counts import pick
from vitmem.registry import NOISES


@NOISES.register("symmetric", summary="exactly rate * n labels, uniform over the other classes")
def symmetric(
    clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate, stratified: Stratified = None
) -> Labels:
    """Give exactly round(rate * n) images, drawn without replacement, a label uniform over the other classes.

    With ``stratified`` every class has its share of them, to within one image. Raises InputError for fewer than two
    classes.
    """
    chosen = choose(clean, context.num_classes, rate, stratified, rng)
    given = clean.copy()
    given[chosen] = other_class(clean[chosen], context.num_classes, rng)
    return given


def choose(
    clean: Labels, num_classes: int, rate: float, stratified: bool | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose exactly round(rate * n) positions without replacement, (m,): from all of ``clean`` (n,) or per class."""
    if stratified:
        return pick(clean, range(num_classes), rate, rng)
    return rng.permutation(len(clean))[: round(rate * len(clean))]


def other_class(labels: Labels, num_classes: int, rng: np.random.Generator) -> Labels:
    """Return for each of ``labels`` (m,) one of the other K - 1 classes, uniformly at random."""
    if num_classes < 2 and len(labels):
        raise InputError("noise: expected a data set of two classes or more, got one; use noise 'none'")
    # a cyclic shift by 1 to K - 1 reaches every other class once
    shift = rng.integers(1, max(num_classes, 2), size=len(labels))
    return (labels + shift) % num_classes

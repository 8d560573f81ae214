"""Symmetric noise with an exact count: the default meaning of "10 % random labels" here.

Other papers mean other things by the name: each label independently (``symmetric_iid``), or uniform
over *all* classes, which leaves the share rate * (K - 1) / K wrong (DivideMix; Zhang et al. 2017).
"""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext


def symmetric(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: float) -> Labels:
    """Give exactly round(rate * n) images, drawn without replacement, a label uniform over the others.

    Raises InputError when there is no other class.
    """
    chosen = rng.permutation(len(clean))[: round(rate * len(clean))]
    given = clean.copy()
    given[chosen] = other_class(clean[chosen], context.num_classes, rng)
    return given


def other_class(labels: Labels, num_classes: int, rng: np.random.Generator) -> Labels:
    """Return for each of ``labels`` (m,) one of the other K - 1 classes, all equally likely."""
    if num_classes < 2 and len(labels):
        raise InputError("noise: expected a data set of two classes or more, got one; use noise 'none'")
    # a shift of 1 to K - 1 on the circle of classes meets every other class once
    shift = rng.integers(1, max(num_classes, 2), size=len(labels))
    return (labels + shift) % num_classes

"""Pair flip: every class is mislabelled as the next one (Han et al. 2018, Co-teaching).

CIFAR's class names are in alphabetical order, so these pairs have no visual meaning.
"""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.counts import pick
from vitmem.registry import NOISES


@NOISES.register("pair", summary="class i becomes i + 1 (Co-teaching's pair flip)")
def pair(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate) -> Labels:
    """Give ``rate`` of the images of class i the label (i + 1) mod K, an exact count in each class.

    Raises InputError for fewer than two classes.
    """
    if context.num_classes < 2:
        raise InputError("noise 'pair': expected a data set of two classes or more, got one; use noise 'none'")
    chosen = pick(clean, range(context.num_classes), rate, rng)
    given = clean.copy()
    given[chosen] = (clean[chosen] + 1) % context.num_classes
    return given

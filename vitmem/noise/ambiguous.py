"""Label the images that a clean network doubts most with its second choice (Chen et al. 2021, AAAI).

The paper averages the network's probabilities over all epochs of training; no random number is drawn.
"""

from __future__ import annotations

import numpy as np

from vitmem.contents import FilePath
from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.probabilities import read_probabilities
from vitmem.registry import NOISES


@NOISES.register("ambiguous", summary="the images a clean network doubts most (Chen 2021)")
def ambiguous(
    clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: Rate, probabilities: FilePath
) -> Labels:
    """Relabel the round(rate * n) images with the largest probability of a wrong class with that class, (n,).

    ``probabilities`` is a file (see ``read_probabilities``). Raises InputError when it does not fit, and for fewer than
    two classes. The labels are the same for every seed; ties are taken in image order.
    """
    wrong = read_probabilities(probabilities, context, len(clean), "ambiguous").copy()
    if context.num_classes < 2:
        raise InputError("noise 'ambiguous': expected a data set of two classes or more, got one; use noise 'none'")
    wrong[np.arange(len(clean)), clean] = -np.inf
    chosen = np.argsort(-wrong.max(axis=1), kind="stable")[: round(rate * len(clean))]
    given = clean.copy()
    given[chosen] = wrong[chosen].argmax(axis=1)
    return given

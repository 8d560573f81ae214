"""Asymmetric noise: classes are mislabelled as a similar class (Patrini et al. 2017).

CIFAR-10 and MNIST use the paper's maps, in which only some classes are sources; CIFAR-100 cycles through the members
of each superclass in the order of their class numbers. Many public implementations treat CIFAR-100's classes 5i to
5i + 4 as a superclass, which keeps 6 of the 100 flips inside one; here the superclasses are those of the dataset.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.counts import pick
from vitmem.registry import NOISES

# truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog
CIFAR10 = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
# 7 -> 1, 2 -> 7, 5 <-> 6, 3 -> 8
MNIST = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}
MAPS = {"cifar10": CIFAR10, "mnist5k": MNIST, "digits": MNIST}


@NOISES.register("asymmetric", summary="look-alike classes (Patrini 2017; CIFAR-100 within superclasses)")
def asymmetric(
    clean: Labels,
    context: NoiseContext,
    rng: np.random.Generator,
    *,
    rate: Rate,
    rate_basis: Literal["class", "overall"] = "class",
) -> Labels:
    """Give a share of the images of each source class the label of its target class.

    With ``rate_basis`` "class" the share is ``rate`` (40 % is 20 % of all CIFAR-10 images: half the classes are
    sources); with "overall" it is set so that ``rate`` of all images are wrong. Raises InputError for a dataset without
    a map, and when there are too few source images for an overall rate.
    """
    targets = targets_of(context)
    if rate_basis == "overall":
        sources = int(np.isin(clean, list(targets)).sum())
        most = sources / len(clean) if len(clean) else 0.0
        if rate > most:
            raise InputError(
                f"noise 'asymmetric': expected an overall rate of at most {most:.3f}, the share of the "
                f"source classes, got {rate}; lower the rate or set rate_basis to 'class'"
            )
        rate = rate / most if most else 0.0
    chosen = pick(clean, sorted(targets), rate, rng)
    given = clean.copy()
    given[chosen] = _lookup(targets, context.num_classes)[clean[chosen]]
    return given


def targets_of(context: NoiseContext) -> dict[int, int]:
    """Return source class -> target class; raises InputError when the dataset has no known map."""
    if context.dataset in MAPS:
        return MAPS[context.dataset]
    if context.coarse is None:
        raise InputError(
            f"noise 'asymmetric': data set '{context.dataset}' has neither a known map of similar classes nor "
            f"superclasses (known: {', '.join(sorted(MAPS))}, cifar100); use 'symmetric' or 'pair'"
        )
    targets: dict[int, int] = {}
    for superclass in np.unique(context.coarse):
        members = np.flatnonzero(context.coarse == superclass)
        if len(members) > 1:
            targets.update(zip(members.tolist(), np.roll(members, -1).tolist(), strict=True))
    return targets


def _lookup(targets: dict[int, int], num_classes: int) -> Labels:
    table = np.arange(num_classes)
    table[list(targets)] = list(targets.values())
    return table

"""Interclass confusion: two classes are mislabelled as each other (Goel et al. 2022; 2024, corrective unlearning)."""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.counts import pick
from vitmem.registry import NOISES

# cat and dog; maple and oak tree; 1 and 7
PAIRS = {"cifar10": (3, 5), "cifar100": (47, 52), "mnist5k": (1, 7), "digits": (1, 7)}


@NOISES.register("interclass_confusion", summary="two classes are mislabelled as each other (Goel 2022)")
def interclass_confusion(
    clean: Labels,
    context: NoiseContext,
    rng: np.random.Generator,
    *,
    rate: Rate,
    classes: tuple[int, int] | None = None,
) -> Labels:
    """Give ``rate`` of the images of each of two ``classes`` the other one's label, an exact count in each.

    ``None`` is the pair of the papers (CIFAR-10: cat and dog, CIFAR-100: maple and oak, digits: 1 and 7).
    Raises InputError for a dataset without such a pair, and for unknown classes.
    """
    pair = PAIRS.get(context.dataset) if classes is None else classes
    if pair is None:
        raise InputError(
            f"noise 'interclass_confusion': data set '{context.dataset}' has no published pair (known: "
            f"{', '.join(sorted(PAIRS))}); give 'classes', two class numbers"
        )
    if pair[0] == pair[1] or min(pair) < 0 or max(pair) >= context.num_classes:
        raise InputError(
            f"noise 'interclass_confusion': expected two different 'classes' of 0 to {context.num_classes - 1}, "
            f"got {list(pair)}"
        )
    chosen = pick(clean, pair, rate, rng)
    given = clean.copy()
    given[chosen] = sum(pair) - clean[chosen]
    return given

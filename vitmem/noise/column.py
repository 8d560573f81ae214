"""Labels from a column of the dataset: fast.ai's noisy labels of Imagenette and Imagewoof.

Imagenette's ``noisy_1``, ``noisy_5``, ``noisy_25`` and ``noisy_50`` are named for their rate in percent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError, unknown
from vitmem.noise.base import Labels, NoiseContext
from vitmem.registry import NOISES


@NOISES.register("column", summary="labels in a column of the data set (Imagenette's noisy_5)")
def column(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, column: str) -> Labels:
    """Return the labels of ``column`` (n,).

    Raises InputError when the dataset has no such column, and for labels of excluded classes.
    """
    if column not in context.extra_labels:
        raise unknown(f"column of data set '{context.dataset}'", column, context.extra_labels)
    return known_classes(context.extra_labels[column], context.num_classes, f"noise 'column': column '{column}'")


def known_classes(labels: NDArray[np.integer], num_classes: int, where: str) -> Labels:
    """Return ``labels`` (n,) as int64; raises InputError, prefixed with ``where``, for one outside the classes."""
    outside = int(((labels < 0) | (labels >= num_classes)).sum())
    if outside:
        raise InputError(
            f"{where}: expected classes 0 to {num_classes - 1}, got {outside} of {len(labels)} labels outside; "
            "take all classes of the data set"
        )
    return labels.astype(np.int64)

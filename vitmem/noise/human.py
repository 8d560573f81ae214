"""Human labels: CIFAR-10N and CIFAR-100N (Wei et al. 2022), or a column of a dataset.

Realised rates of CIFAR-10N: ``aggre_label`` 9.01 %, ``random_label1`` to ``3`` 17.23, 18.12 and
17.64 %, ``worse_label`` 40.21 %; of CIFAR-100N: 40.20 %.
"""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError, unknown
from vitmem.noise.base import Labels, NoiseContext
from vitmem.noise.column import known_classes
from vitmem.registry import NOISES


@NOISES.register("human", summary="human annotators' labels (CIFAR-10N, CIFAR-100N)")
def human(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, column: str) -> Labels:
    """Return the labels of ``column`` (n,); raises InputError when the dataset has none."""
    return human_labels(clean, context, column, "human")


def human_labels(clean: Labels, context: NoiseContext, column: str, noise: str) -> Labels:
    """Return the labels of ``column``, (n,) like ``clean``, for the noise model ``noise``.

    Raises InputError when the dataset has no such column, or it has another length or unknown classes.
    """
    if not context.extra_labels:
        raise InputError(
            f"noise '{noise}': data set '{context.dataset}' came without human labels; for CIFAR put the file "
            "cifar10n.npz or cifar100n.npz (or CIFAR-10_human.pt, CIFAR-100_human.pt) into the data folder"
        )
    if column not in context.extra_labels:
        raise unknown("column of human labels", column, context.extra_labels)
    labels = np.asarray(context.extra_labels[column])
    if labels.shape != clean.shape:
        raise InputError(
            f"noise '{noise}': expected {len(clean)} labels in column '{column}', got {labels.size}; "
            "the file belongs to another data set"
        )
    return known_classes(labels, context.num_classes, f"noise '{noise}': column '{column}'")

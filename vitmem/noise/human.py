"""Labels that people gave: CIFAR-10N and CIFAR-100N (Wei et al. 2022), or a column of a data set.

Realised rates of CIFAR-10N: ``aggre_label`` 9.01 %, ``random_label1`` to ``3`` 17.23, 18.12 and
17.64 %, ``worse_label`` 40.21 %; of CIFAR-100N: 40.20 %.
"""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError, unknown
from vitmem.noise.base import Labels, NoiseContext


def human(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, column: str) -> Labels:
    """Return the labels of ``column`` (n,); raises InputError when the data set came without them."""
    if not context.extra_labels:
        raise InputError(
            f"noise 'human': data set '{context.dataset}' came without human labels; for CIFAR put the file "
            "cifar10n.npz or cifar100n.npz (or CIFAR-10_human.pt, CIFAR-100_human.pt) into the data folder"
        )
    if column not in context.extra_labels:
        raise unknown("column of human labels", column, context.extra_labels)
    labels = np.asarray(context.extra_labels[column])
    if labels.shape != clean.shape:
        raise InputError(
            f"noise 'human': expected {len(clean)} labels in column '{column}', got {labels.size}; "
            "the file belongs to another data set"
        )
    return labels.astype(np.int64)

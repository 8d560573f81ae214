"""Controls for human labels: the same class confusions independent of the image, and a subset of the same errors."""

from __future__ import annotations

import numpy as np

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate, transition_matrix
from vitmem.noise.human import human_labels
from vitmem.noise.transition import draw_rows
from vitmem.registry import NOISES


@NOISES.register("human_twin", summary="control: human confusions of classes, independent of the image")
def human_twin(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, column: str) -> Labels:
    """Draw each label independently from the transition matrix of the human labels in ``column``, (n,).

    Class confusions match the human ones but do not depend on the image, which is the difference to human labels (Wei
    et al. 2022). Raises InputError as ``human`` does.
    """
    matrix = transition_matrix(clean, human_labels(clean, context, column, "human_twin"), context.num_classes)
    return draw_rows(clean, matrix, rng)


@NOISES.register("human_mixture", summary="control: human errors thinned out to a rate")
def human_mixture(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, column: str, rate: Rate) -> Labels:
    """Give exactly round(rate * n) of the images that ``column`` mislabels its label, and the others the true one.

    10 % of CIFAR-10N's ``worse_label`` (40.21 %) is human noise of another rate than the five columns have.
    Raises InputError as ``human`` does, and when fewer labels of the column are wrong.
    """
    labels = human_labels(clean, context, column, "human_mixture")
    wrong = np.flatnonzero(labels != clean)
    count = round(rate * len(clean))
    if count > len(wrong):
        raise InputError(
            f"noise 'human_mixture': expected a rate of at most {len(wrong) / len(clean):.4f}, the share of wrong "
            f"labels in column '{column}', got {rate}"
        )
    kept = rng.permutation(wrong)[:count]
    given = clean.copy()
    given[kept] = labels[kept]
    return given

"""Polynomial margin diminishing noise: images near a decision boundary get the runner-up's label.

Zhang et al. 2021 (PLC, ICLR). With u and s the two likeliest classes of an image for a network trained on the true
labels and D the difference of their probabilities, u is replaced by s with a probability that decreases with D: type 1:
1/2 - D^2 / 2, type 2: 1 - D^3, type 3: 1 - (D + D^2 + D^3) / 3.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vitmem.contents import FilePath
from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.probabilities import read_probabilities
from vitmem.registry import NOISES


@NOISES.register("pmd", summary="near a clean network's boundary, the runner-up (Zhang 2021, types 1 to 3)")
def pmd(
    clean: Labels,
    context: NoiseContext,
    rng: np.random.Generator,
    *,
    rate: Rate,
    probabilities: FilePath,
    type: Annotated[
        Literal[1, 2, 3], Field(description="form of the probability of a flip, by its number in the paper")
    ] = 1,
) -> Labels:
    """Relabel each image, with probability min(1, c * tau), with the likelier wrong class of u and s.

    That is s if u is the true label, otherwise u. The factor c makes the mean probability equal to ``rate``; images are
    drawn independently, so the realised rate is random. ``probabilities`` is a file from a network trained on the true
    labels (see ``read_probabilities``). Raises InputError for a file that does not fit, and for a rate that no factor
    reaches.
    """
    u, s, tau = flips(read_probabilities(probabilities, context, len(clean), "pmd"), type)
    flipped = rng.random(len(clean)) < np.minimum(1, factor_for(tau, rate) * tau)
    return np.where(flipped, np.where(u == clean, s, u), clean)


@NOISES.register("pmd_legacy", summary="for replication: PMD as PLC's code draws it, from the network's own label")
def pmd_legacy(
    clean: Labels,
    context: NoiseContext,
    rng: np.random.Generator,
    *,
    factor: Annotated[float, Field(ge=1)],
    probabilities: FilePath,
    type: Annotated[
        Literal[1, 2, 3], Field(description="form of the probability of a flip, by its number in the paper")
    ] = 1,
) -> Labels:
    """Give each image the label u with probability (1 - tau) / ``factor``, else s, as PLC's code does.

    ``probabilities`` is a file of that network. The true label is not used, so the network's errors are noise too. The
    code's factors for 35 % are 1.43, 1.32 and 1.35 for types 1 to 3 on CIFAR-10 (1.08, 1.02 and 1.12 on CIFAR-100), for
    70 % on CIFAR-10 3.4, 3.1 and 3.2. For replication only; raises InputError for a file that does not fit.
    """
    u, s, tau = flips(read_probabilities(probabilities, context, len(clean), "pmd_legacy"), type)
    return np.where(rng.random(len(clean)) < (1 - tau) / factor, u, s)


def flips(probabilities: NDArray[np.float64], type: Literal[1, 2, 3]) -> tuple[Labels, Labels, NDArray[np.float64]]:
    """Return the likeliest class u, the second s and the probability tau of a flip, all (n,), of rows (n, K)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].astype(np.int64)
    if order.shape[1] < 2:
        raise InputError("noise 'pmd': expected a data set of two classes or more, got one; use noise 'none'")
    top = np.take_along_axis(probabilities, order, axis=1)
    margin = np.clip(top[:, 0] - top[:, 1], 0, 1)
    tau = {1: (1 - margin**2) / 2, 2: 1 - margin**3, 3: 1 - (margin + margin**2 + margin**3) / 3}[type]
    return order[:, 0], order[:, 1], tau


def factor_for(tau: NDArray[np.float64], rate: float) -> float:
    """Return c with mean(min(1, c * tau)) = ``rate`` over ``tau`` (n,), by bisection; raises InputError without one."""
    positive = tau[tau > 0]
    most = len(positive) / max(len(tau), 1)
    if rate > most:
        raise InputError(
            f"noise 'pmd': expected a rate of at most {most:.4f}, got {rate}: the probabilities of the other images "
            "are too certain; take those of an earlier epoch"
        )
    if rate == 0:
        return 0.0
    low, high = 0.0, 1 / float(positive.min())
    while np.nextafter(low, high) < high:
        middle = (low + high) / 2
        if np.minimum(1, middle * tau).mean() < rate:
            low = middle
        else:
            high = middle
    return high

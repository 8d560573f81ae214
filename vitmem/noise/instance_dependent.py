"""Noise that depends on the image: a random projection of its pixels chooses the wrong label (Xia et al. 2020).

Each image has its own flip rate q, drawn from N(tau, sigma^2) truncated to [0, 1], and class scores z = x W, W with
N(0, 1) entries, one matrix per true class. It keeps the true label with probability 1 - q, otherwise another one drawn
from softmax(z). The literature names the noise by tau, which is not its rate: at sigma 0.1 the mean of q is 0.1288 for
tau 0.1. The spread of the scores is the norm of x (about 55 on CIFAR), so the softmax is nearly one-hot: given the
image, the wrong label is almost certain. The scale of the pixels thus changes the noise, and is fixed here
(``Pixels.vectors``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext, Rate
from vitmem.noise.pixels import Pixels
from vitmem.noise.truncated_normal import draw, location_for
from vitmem.registry import NOISES


@NOISES.register(
    "instance_dependent",
    summary="a random projection of the image chooses the wrong label (Xia 2020)",
    exactly_one=("rate", "tau"),
)
def instance_dependent(
    clean: Labels,
    context: NoiseContext,
    rng: np.random.Generator,
    *,
    rate: Rate | None = None,
    tau: Rate | None = None,
    sigma: Annotated[float, Field(gt=0, le=1)] = 0.1,
    projection: Literal["class", "shared"] = "class",
) -> Labels:
    """Flip each image with its own probability to the class with the highest score of a random projection.

    ``rate`` is the mean of the flip rates and ``tau`` the location of their distribution: give one of them.
    ``sigma`` is the scale of this distribution.
    ``projection`` "shared" has one W for all true classes (CORES, SEAL) instead of one each. Images are drawn
    independently, so the realised rate is random. Raises InputError without images, and for fewer than two classes.
    """
    from scipy.special import softmax

    if context.pixels is None:
        raise InputError(f"noise 'instance_dependent': expected images, data set '{context.dataset}' gives none")
    if context.num_classes < 2:
        raise InputError("noise 'instance_dependent': expected two classes or more, got one; use noise 'none'")
    flipped = rng.random(len(clean)) < _flip_rates(rate, tau, sigma, len(clean), rng)
    level = rng.random(len(clean))
    given = clean.copy()
    for rows, scores in _scores(clean, np.flatnonzero(flipped), context.pixels, context.num_classes, projection, rng):
        scores[np.arange(len(rows)), clean[rows]] = -np.inf
        cumulative = softmax(scores, axis=1).cumsum(axis=1)
        total = cumulative[:, -1]
        below = np.minimum(level[rows] * total, np.nextafter(total, 0))
        given[rows] = (cumulative <= below[:, None]).sum(axis=1)
    return given


def _flip_rates(
    rate: float | None, tau: float | None, sigma: float, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    if rate is not None and not 0 < rate < 1:  # no location has this mean
        return np.full(count, rate)
    location = tau if rate is None else location_for(rate, sigma)
    assert location is not None  # validation ensures one of the two
    return draw(location, sigma, count, rng)


def _scores(
    clean: Labels,
    rows: NDArray[np.integer],
    pixels: Pixels,
    num_classes: int,
    projection: Literal["class", "shared"],
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.integer], NDArray[np.float64]]]:
    """Yield parts of ``rows`` with their scores (part, K), holding one matrix W (d, K) and one part at a time."""
    # one generator per class, so that an empty class does not change the others' matrices
    for true, generator in enumerate(rng.spawn(num_classes) if projection == "class" else rng.spawn(1)):
        members = rows[clean[rows] == true] if projection == "class" else rows
        if len(members):
            matrix = generator.standard_normal((pixels.length, num_classes), dtype=np.float32)
            for part, vectors in pixels.vectors(members):
                yield part, (vectors @ matrix).astype(np.float64)

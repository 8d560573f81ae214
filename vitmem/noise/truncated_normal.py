"""The normal distribution truncated to [0, 1], and the location for a given mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_of(location: float, sigma: float) -> float:
    """Return the mean of N(location, sigma^2) truncated to [0, 1]: 0.1288 for 0.1 and 0.1."""
    from scipy.special import erfcx, ndtr

    if location > 0.5:
        return 1 - mean_of(1 - location, sigma)
    low, high = _bounds(location, sigma)
    if location >= 0:
        density = np.exp([-(low**2) / 2, -(high**2) / 2]) / np.sqrt(2 * np.pi)
        return float(location + sigma * (density[0] - density[1]) / (ndtr(high) - ndtr(low)))
    # both bounds lie in the upper tail: factor out the density at the lower one before it underflows
    rest = np.exp((low**2 - high**2) / 2)
    mass = np.sqrt(np.pi / 2) * (erfcx(low / np.sqrt(2)) - rest * erfcx(high / np.sqrt(2)))
    return float(location + sigma * (1 - rest) / mass)


def location_for(mean: float, sigma: float) -> float:
    """Return the location with the given ``mean`` in (0, 1); below 0 or above 1 for extreme means."""
    from scipy.optimize import brentq

    # far outside [0, 1] the truncated distribution is an exponential with mean sigma^2 / distance
    low = mean - 1 - 2 * sigma**2 / mean
    high = mean + 1 + 2 * sigma**2 / (1 - mean)
    return float(brentq(lambda location: mean_of(location, sigma) - mean, low, high, xtol=1e-12))


def draw(location: float, sigma: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw ``count`` values in [0, 1], (count,)."""
    from scipy.stats import truncnorm

    values = truncnorm.ppf(rng.random(count), *_bounds(location, sigma), loc=location, scale=sigma)
    return np.clip(values, 0, 1)


def _bounds(location: float, sigma: float) -> tuple[float, float]:
    # in units of sigma from the location; AQuA's code omits the location, which truncates elsewhere
    return (0 - location) / sigma, (1 - location) / sigma

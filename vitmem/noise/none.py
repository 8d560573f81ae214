"""No noise: the true labels."""

from __future__ import annotations

import numpy as np

from vitmem.noise.base import Labels, NoiseContext
from vitmem.registry import NOISES


@NOISES.register("none", summary="the true labels")
def none(clean: Labels, context: NoiseContext, rng: np.random.Generator) -> Labels:
    """Return the true labels (n,)."""
    return clean.copy()

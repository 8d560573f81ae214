"""Labels drawn from the true class's row of a transition matrix (Natarajan et al. 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitmem.contents import FilePath
from vitmem.noise.base import Labels, NoiseContext
from vitmem.noise.matrix import checked_matrix, read_matrix
from vitmem.registry import NOISES


@NOISES.register(
    "transition",
    summary="each label independently, from its row of any transition matrix",
    exactly_one=("matrix", "file"),
)
def transition(
    clean: Labels,
    context: NoiseContext,
    rng: np.random.Generator,
    *,
    matrix: tuple[tuple[float, ...], ...] | None = None,
    file: FilePath | None = None,
) -> Labels:
    """Draw each label independently: T[i, j] is the probability that true class i is given label j.

    T (K, K) is ``matrix``, a list of rows, or in ``file`` (JSON, CSV or text with spaces, relative to the data folder
    or absolute). Raises InputError for an invalid file, and for rows that do not sum to 1.
    """
    source = "'matrix'" if file is None else str(context.find(file))
    table = matrix if file is None else read_matrix(context.find(file))
    return draw_rows(clean, checked_matrix(table, context.num_classes, f"noise 'transition': {source}"), rng)


def draw_rows(clean: Labels, matrix: NDArray[np.float64], rng: np.random.Generator) -> Labels:
    """Draw a label from the row of ``matrix`` (K, K) of each true label in ``clean`` (n,), independently, (n,)."""
    cumulative = matrix.cumsum(axis=1)
    total = cumulative[clean, -1]
    level = np.minimum(rng.random(len(clean)) * total, np.nextafter(total, 0))
    given = np.empty_like(clean)
    for true in np.unique(clean):
        members = clean == true
        # the first class whose cumulative probability exceeds the level, which skips classes of probability 0
        given[members] = np.searchsorted(cumulative[true], level[members], side="right")
    return given

"""Selecting the pairs of an 11008 x 4096 matrix at mass 0.75: asserts time, memory and the set itself.

Power-law spectra. Under 0.2 s, under 100 MB beyond the inputs, the same set as a sort of all 45 million pairs.
``--quick``: 2752 x 1024.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import torch
from timing import assert_claims, least_seconds, options

from vitmem.kfac import mask_of, staircase_by_mass

ROWS, COLUMNS, MASS = 11008, 4096, 0.75


def main() -> None:
    """Measure and compare."""
    quick = options(__doc__).parse_args().quick
    height, width = (ROWS // 4, COLUMNS // 4) if quick else (ROWS, COLUMNS)
    rows = torch.arange(1, height + 1, dtype=torch.float64) ** -0.8
    columns = torch.arange(1, width + 1, dtype=torch.float64) ** -1.1
    staircase = staircase_by_mass(rows, columns, MASS)
    tracemalloc.start()  # counts what numpy allocates
    staircase_by_mass(rows, columns, MASS)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()

    flat = torch.outer(rows, columns).numpy().ravel()
    order = np.argsort(-flat, kind="stable")
    kept = int(np.searchsorted(np.cumsum(flat[order]), MASS * float(rows.sum()) * float(columns.sum()))) + 1
    expected = np.zeros(flat.size, bool)
    expected[order[:kept]] = True
    same = bool((mask_of(staircase, width).numpy().ravel() == expected).all())

    print(f"{int(staircase.sum()):,} of {flat.size:,} pairs kept, the same set as a full sort: {same}")
    assert same
    print(f"selection at mass {MASS} of {height} x {width}: {peak:.1f} MB (limit 100)")
    assert peak < 100

    def seconds() -> dict[str, tuple[float, float]]:
        found = least_seconds({"selection": lambda: staircase_by_mass(rows, columns, MASS)}, 6)
        return {"seconds of the selection": (found["selection"], 0.2)}

    assert_claims(seconds)


if __name__ == "__main__":
    main()

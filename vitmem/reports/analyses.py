"""What ``vitmem analyse`` wrote beside the rows of a suite, told by training. No torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vitmem.errors import InputError
from vitmem.reports.aggregate import Estimate, Training, estimate

# One line of a file: its columns by name, as they are written
Line = Mapping[str, str]
Analyses = Mapping[str, Sequence[Line]]
# Columns of analyses that are quantities of a network as a whole.
TELLING = {
    "spectrum": ("effective_rank_a", "effective_rank_g", "effective_rank_weight"),
    "fisher": ("noisy_share", "noisy_share_given"),
}


def read_analyses(folder: Path) -> Analyses:
    """Return the lines of ``<folder>/analyses/*.csv`` by the name of the file; none where there is no such folder.

    Raises InputError for a file whose lines do not say which training they are of.
    """
    found: dict[str, list[Line]] = {}
    for path in sorted((folder / "analyses").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.stem] = list(csv.DictReader(file))
        if any(not line.get("training") or None in line.values() for line in found[path.stem]):
            raise InputError(
                f"{path}: expected lines of as many columns as its first, one of them 'training'; write it anew"
            )
    return found


def lines_of(training: Training, lines: Sequence[Line]) -> dict[int, list[Line]]:
    """Return the ``lines`` of the seeds of ``training``, in their order; its oracles have none."""
    groups = [g for g in (training.base, *training.edits) if g is not None]
    seeds = {row.get("ids", {}).get("training"): seed for g in groups for seed, row in sorted(g.rows.items())}
    out: dict[int, list[Line]] = {}
    for line in lines:
        if line["training"] in seeds:
            out.setdefault(seeds[line["training"]], []).append(line)
    return out


def over_seeds(seeds: Mapping[int, Sequence[Line]], read: Callable[[Line], float | None]) -> Estimate | None:
    """Return mean and interval over the seeds of what ``read`` finds in their lines, each the mean of its lines."""
    means = []
    for some in seeds.values():
        values = [value for line in some if (value := read(line)) is not None]
        if values:
            means.append(sum(values) / len(values))
    return estimate(means)


def averages(analyses: Analyses) -> dict[str, dict[str, float]]:
    """Return by the id of the training what may tell where an edit works, each quantity as the mean of its layers."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, quantities in TELLING.items():
        for line in analyses.get(name, ()):
            for quantity in quantities:
                if (value := number(line, quantity)) is not None:
                    found.setdefault(line["training"], {}).setdefault(quantity, []).append(value)
    return {
        training: {quantity: sum(values) / len(values) for quantity, values in quantities.items()}
        for training, quantities in found.items()
    }


def number(line: Line, column: str) -> float | None:
    """Return the number in ``column`` of a line, ``None`` where there is none; raises InputError for anything else."""
    text = line.get(column, "")
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and math.isnan(value):
        raise InputError(f"analyses: column '{column}': expected a number, got '{text}'; write the file anew")
    return value

"""What ``vitmem analyse`` wrote beside the rows of a suite, told by training. No torch."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vitmem.errors import InputError
from vitmem.reports.aggregate import Estimate, Training, estimate

# One line of a file: its columns by name, as they are written
Line = Mapping[str, str]
Analyses = Mapping[str, Sequence[Line]]


def read_analyses(folder: Path) -> Analyses:
    """Return the lines of ``<folder>/analyses/*.csv`` by the name of the file; none where there is no such folder.

    Raises InputError for a file whose lines do not say which training they are of.
    """
    found: dict[str, list[Line]] = {}
    for path in sorted((folder / "analyses").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.stem] = list(csv.DictReader(file))
        if any("training" not in line or None in line.values() for line in found[path.stem]):
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


def number(line: Line, column: str) -> float | None:
    """Return the number in ``column`` of a line, ``None`` where there is none; raises InputError for anything else."""
    text = line.get(column, "")
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError(f"analyses: column '{column}': expected a number, got '{text}'; write the file anew") from None

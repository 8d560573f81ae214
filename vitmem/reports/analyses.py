"""The output of ``vitmem analyse`` beside the rows of a suite, by training. Does not import torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from vitmem.errors import InputError
from vitmem.files import hidden, read_text, short_name
from vitmem.reports.aggregate import Estimate, Training, estimate

# One line of a file: its values by column, as written
Line = Mapping[str, str]
Analyses = Mapping[str, Sequence[Line]]
# Columns of analyses that are quantities of a network as a whole.
TELLING = {
    "spectrum": ("effective_rank_a", "effective_rank_g", "effective_rank_weight"),
    "fisher": ("noisy_share", "noisy_share_given"),
}
# Columns that identify a line, by the name of the file.
NEEDED = {
    "bands": ("layer", "basis", "from"),
    "spectrum": ("layer",),
    "fisher": ("layer",),
    "stability": ("layer", "side", "with"),
    "detection": ("score",),
    "learned": ("cell", "epoch", "of", "images"),
}
MEND = "delete the file and run 'vitmem analyse' again"


class Lines(list[Line]):
    """The lines of one file, and those of each training."""

    @cached_property
    def by_training(self) -> Mapping[str, Sequence[Line]]:
        """The lines by training id, in their order."""
        lines: dict[str, list[Line]] = {}
        for line in self:
            lines.setdefault(line["training"], []).append(line)
        return lines


def read_analyses(folder: Path) -> Analyses:
    """Return the lines of ``<folder>/analyses/*.csv`` by file name; empty without such a folder.

    Raises InputError for a file that is not a UTF-8 table, and for one without the training of each line or other
    columns that the tables need.
    """
    paths = sorted((folder / "analyses").glob("*.csv"))
    return {path.stem: _read(path) for path in paths if not hidden(path.name)}


def _read(path: Path) -> Lines:
    name = short_name(path)
    text = read_text(path, "a table that 'vitmem analyse' wrote")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        lines = Lines(reader)
    except csv.Error as error:
        raise InputError(f"{name}: not a complete CSV ({error}); {MEND}") from None
    columns = reader.fieldnames or []
    for column in ("training", *NEEDED.get(path.stem, ())):
        if column not in columns:
            raise InputError(f"{name}: expected a column '{column}', got {', '.join(columns)[:200] or 'none'}; {MEND}")
    for number, line in enumerate(lines, start=2):
        if not line["training"] or None in line or None in line.values():
            raise InputError(f"{name}:{number}: expected {len(columns)} columns, 'training' filled in; {MEND}")
    return lines


def lines_of(training: Training, lines: Sequence[Line]) -> dict[int, list[Line]]:
    """Return the ``lines`` of the seeds of ``training``, in their order; its oracles have none."""
    groups = [g for g in (training.base, *training.edits) if g is not None]
    seeds = {row.get("ids", {}).get("training"): seed for g in groups for seed, row in sorted(g.rows.items())}
    by_training = (lines if isinstance(lines, Lines) else Lines(lines)).by_training
    out: dict[int, list[Line]] = {}
    for id, seed in seeds.items():
        if id in by_training:
            out.setdefault(seed, []).extend(by_training[id])
    return out


def over_seeds(seeds: Mapping[int, Sequence[Line]], read: Callable[[Line], float | None]) -> Estimate | None:
    """Return mean and interval over the seeds of ``read``, averaged over the lines of each seed."""
    means = []
    for some in seeds.values():
        values = [value for line in some if (value := read(line)) is not None]
        if values:
            means.append(sum(values) / len(values))
    return estimate(means)


def averages(analyses: Analyses) -> dict[str, dict[str, float]]:
    """Return predictors of where an edit works, by training id, each averaged over the layers."""
    by_training: dict[str, dict[str, list[float]]] = {}
    for name, quantities in TELLING.items():
        for line in analyses.get(name, ()):
            for quantity in quantities:
                if (value := number(line, quantity)) is not None:
                    by_training.setdefault(line["training"], {}).setdefault(quantity, []).append(value)
    return {
        training: {quantity: sum(values) / len(values) for quantity, values in quantities.items()}
        for training, quantities in by_training.items()
    }


def number(line: Line, column: str) -> float | None:
    """Return the number in ``column`` of a line, ``None`` if empty; raises InputError for other text."""
    text = line.get(column, "")
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise InputError(f"analyses: column '{column}': expected a number, got '{text[:60]}'; {MEND}")
    return value


def needed_number(line: Line, column: str) -> float:
    """Return the number in ``column`` of a line; raises InputError if it is empty."""
    value = number(line, column)
    if value is None:
        raise InputError(f"analyses: column '{column}': expected a number, got nothing; {MEND}")
    return value

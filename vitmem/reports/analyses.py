"""What ``vitmem analyse`` measured inside unedited networks, averaged over the layers of each. No torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from vitmem.errors import InputError

# Quantity -> its value, by the id of the training.
Analyses = Mapping[str, Mapping[str, float]]
FILES = {
    "spectrum.csv": ("effective_rank_a", "effective_rank_g", "effective_rank_weight"),
    "fisher.csv": ("noisy_share", "noisy_share_given"),
}


def read_analyses(folder: Path) -> Analyses:
    """Return the mean over the layers of each quantity in ``<folder>/analyses``, empty where there are no files.

    ``folder`` is that of a suite's rows. Raises InputError for a file that lacks a column or has no number in it.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name, quantities in FILES.items():
        path = folder / "analyses" / name
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        for number, line in enumerate(lines, start=2):
            for quantity in quantities:
                training, value = line.get("training"), _number(line.get(quantity))
                if not training or value is None:
                    raise InputError(
                        f"{path}:{number}: expected an id under 'training' and a number under '{quantity}', got "
                        f"{training!r} and {line.get(quantity)!r}; run 'vitmem analyse' again or delete the file"
                    )
                found.setdefault(training, {}).setdefault(quantity, []).append(value)
    return {
        training: {quantity: math.fsum(values) / len(values) for quantity, values in quantities.items()}
        for training, quantities in found.items()
    }


def _number(text: str | None) -> float | None:
    """Return the finite number that ``text`` is, ``None`` when it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""``vitmem edit``: edit the files of a language model and print what was done to each matrix."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vitmem.blocks import parse_blocks
from vitmem.kfac import LayerReport
from vitmem.offline.edit import edit_folder

HEADS = ("kept pairs %", "kept mass %", "kept energy %", "‖ΔW‖/‖W‖", "cast error")


def edit(
    weights: Path, factors: Path, mass: float, out: Path, blocks: str | None, layers: Sequence[str] | None
) -> None:
    """Write the edited folder, a line for each step, and a table of all layers."""
    numbers = None if blocks is None else parse_blocks(blocks)
    try:
        reports = edit_folder(
            weights, factors, out, mass=mass, blocks=numbers, layers=layers or None, say=lambda x: print(x, flush=True)
        )
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    for line in _table(reports):
        print(line)
    print(f"wrote {out}")


def _table(reports: Mapping[str, LayerReport]) -> list[str]:
    width = max(len(path) for path in reports)
    lines = [" ".join([f"{'layer':<{width}}", *(f"{head:>13}" for head in HEADS)])]
    for path, r in reports.items():
        shares = (r.kept_pairs / r.total_pairs, r.kept_mass or 0.0, r.kept_energy)
        numbers = [*(f"{100 * share:13.2f}" for share in shares), f"{r.relative_change:13.4f}", f"{r.cast_error:13.1e}"]
        lines.append(" ".join([f"{path:<{width}}", *numbers]))
    return lines

"""Write the figures of a suite beside its rows, as SVG and PNG. Imports matplotlib, not torch.

The files are a pure function of the rows: no date, and a fixed salt for ids inside the SVG.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from vitmem.entries import Figure as FigureEntry
from vitmem.files import write_whole, writing
from vitmem.registry import FIGURES
from vitmem.reports.files import reports
from vitmem.reports.report import Report
from vitmem.reports.style import STYLE
from vitmem.rows import Belongs


def draw_figures(report: Report) -> dict[str, tuple[FigureEntry, Figure]]:
    """Return the non-empty figures of a suite, each with its entry, by name."""
    entries = [entry() for entry in FIGURES.entries() if not entry.over_suites]
    with matplotlib.rc_context(STYLE):
        drawn = [(entry, entry.draw(report)) for entry in entries]
    return {entry.name: (entry, figure) for entry, figure in drawn if figure is not None}


def write_figures(results: Path, suite: str | None = None, belongs: Belongs | None = None) -> list[Path]:
    """Draw the figures of all suites in ``results``, or of one, as SVG and PNG; return the paths.

    Without ``suite`` those over all suites are drawn too, into ``results`` itself. ``belongs`` filters rows as in
    ``read_rows``. Raises InputError when ``suite`` has no rows.
    """
    written = []
    over_all = [entry() for entry in FIGURES.entries() if entry.over_suites]
    observed: dict[str, list[Any]] = {entry.name: [] for entry in over_all}
    for folder, report in reports(results, suite, belongs):
        for name, (_, figure) in draw_figures(report).items():
            written += write_figure(figure, folder / "figures" / name, dpi=120)
        for entry in over_all:
            observed[entry.name].extend(entry.observe(report))
    for entry in over_all if suite is None else ():
        with matplotlib.rc_context(STYLE):
            if (figure := entry.draw(observed[entry.name])) is not None:
                written += write_figure(figure, results / entry.name, dpi=120)
    return written


def write_figure(figure: Figure, path: Path, dpi: int) -> list[Path]:
    """Write ``figure`` to ``path`` with the suffixes .svg and .png, atomically; return both paths.

    Raises InputError or DiskFullError when it cannot be written.
    """
    kinds: dict[str, Any] = {"svg": {"metadata": {"Date": None, "Creator": None}}}
    kinds["png"] = {"dpi": dpi, "metadata": {"Software": None}}
    written = []
    for kind, options in kinds.items():
        file = path.with_name(f"{path.name}.{kind}")
        with writing(file), matplotlib.rc_context(STYLE):
            write_whole(file, partial(figure.savefig, format=kind, **options))
        written.append(file)
    return written

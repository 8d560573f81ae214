"""Write the figures of a suite beside its rows, as SVG and PNG. Imports matplotlib, not torch.

The files are a pure function of the rows: no date, and a fixed salt for ids inside the SVG.
"""

from __future__ import annotations

from collections.abc import Iterable
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


class DrawnOverSuites:
    """The figures over all suites: caches the extract of each suite, not the rows."""

    def __init__(self) -> None:
        self.entries = [entry() for entry in FIGURES.entries() if entry.over_suites]
        self.found: dict[str, list[Any]] = {entry.name: [] for entry in self.entries}

    def observe(self, report: Report) -> None:
        """Extract the data of the figures from one suite."""
        for entry in self.entries:
            self.found[entry.name].extend(entry.observe(report))

    def draw(self) -> dict[str, tuple[FigureEntry, Figure]]:
        """Return the non-empty figures, each with its entry, by name."""
        with matplotlib.rc_context(STYLE):
            drawn = [(entry, entry.draw(self.found[entry.name])) for entry in self.entries]
        return {entry.name: (entry, figure) for entry, figure in drawn if figure is not None}


def write_figures(results: Path, suite: str | None = None, belongs: Belongs | None = None) -> list[Path]:
    """Draw the figures of all suites in ``results``, or of one, as SVG and PNG; return the paths.

    Without ``suite`` those over all suites are drawn too, into ``results`` itself. ``belongs`` filters rows as in
    ``read_rows``. A figure of an entry that no longer draws the rows of a suite is deleted there. Raises InputError
    when ``suite`` has no rows.
    """
    written: list[Path] = []
    over_all = DrawnOverSuites()
    known = {entry.name for entry in FIGURES.entries()}
    for folder, report in reports(results, suite, belongs):
        drawn = draw_figures(report)
        for name, (_, figure) in drawn.items():
            written += write_figure(figure, folder / "figures" / name, dpi=120)
        # it would show older rows
        for file in list((folder / "figures").glob("*.*")):
            if file.stem in known and file.stem not in drawn and file.suffix in (".svg", ".png"):
                with writing(file):
                    file.unlink()
        over_all.observe(report)
    for name, (_, figure) in over_all.draw().items() if suite is None else ():
        written += write_figure(figure, results / name, dpi=120)
    return written


def write_figure(figure: Figure, path: Path, dpi: int, kinds: Iterable[str] = ("svg", "png")) -> list[Path]:
    """Write ``figure`` to ``path`` with each of the suffixes ``kinds``, atomically; return the paths.

    Raises InputError or DiskFullError when it cannot be written.
    """
    options_of: dict[str, dict[str, Any]] = {
        "svg": {"metadata": {"Date": None, "Creator": None}},
        "png": {"dpi": dpi, "metadata": {"Software": None}},
    }
    written = []
    for kind in kinds:
        file = path.with_name(f"{path.name}.{kind}")
        with writing(file), matplotlib.rc_context(STYLE):
            write_whole(file, partial(figure.savefig, format=kind, **options_of[kind]))
        written.append(file)
    return written

"""A suite in the site: its document, its tables and its figures. Does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from matplotlib.figure import Figure

from vitmem.entries import Figure as FigureEntry
from vitmem.files import read_text
from vitmem.reports.drawing import draw_figures, write_figure
from vitmem.reports.pages import FIRST, PAGE, suite_page
from vitmem.reports.render import Table
from vitmem.reports.report import Report
from vitmem.reports.site.places import Drawn, Places
from vitmem.reports.site.shown import ShownTable, shown_table, summary

# The table that suites are compared by: the first of these that a suite has.
HEADLINE = ("headline", *FIRST)
NOTHING = "# {suite}\n\nNo cell of an unedited model is finished: there is no table yet.\n"
# Pixels of an inch in a browser, and dots of an inch of what an SVG holds as an image.
INCH, DPI = 96, 120


@dataclass(frozen=True)
class Suite:
    """What the pages of one suite are made of.

    ``text`` is its document in markdown, ``summaries`` are of all its tables by name, ``tables`` those that its page or
    the comparison show, and ``figures`` all its figures.
    """

    name: str
    about: str
    text: str
    summaries: Mapping[str, str]
    tables: Mapping[str, ShownTable]
    figures: Sequence[Drawn]

    @property
    def document(self) -> str:
        """The path of its document in the results."""
        return f"{self.name}/{PAGE}"

    @property
    def headline(self) -> ShownTable | None:
        """The table that it is compared by."""
        return next((self.tables[name] for name in HEADLINE if name in self.tables), None)


def gather(folder: Path, report: Report, tables: Mapping[str, Table], places: Places, out: Path) -> Suite:
    """Return the suite in ``folder``, with its figures drawn into ``out`` and told to ``places``.

    ``tables`` are all its tables by name. Raises InputError for a document that cannot be read or a figure that cannot
    be written, DiskFullError for a full disk.
    """
    file = folder / PAGE
    text = read_text(file, "a document") if file.exists() else suite_page(folder, tables)
    text = NOTHING.format(suite=folder.name) if text is None else text
    asked = (PurePosixPath(path) for path in places.asked(text))
    wanted = [path.stem for path in asked if path.parent == PurePosixPath(folder.name, "tables")]
    headline = [name for name in HEADLINE if name in tables][:1]
    figures = []
    for name, (entry, figure) in draw_figures(report).items():
        words = [entry.in_words(report), *(tables[name].said if name in tables else ())]
        figures.append(draw(entry, figure, " ".join(words), f"{folder.name}/figures/{name}", places, out))
    return Suite(
        folder.name,
        report.about,
        text,
        {name: summary(name) for name in tables},
        {name: shown_table(tables[name]) for name in (*wanted, *headline) if name in tables},
        figures,
    )


def draw(entry: FigureEntry, figure: Figure, words: str, path: str, places: Places, out: Path) -> Drawn:
    """Write ``figure`` to ``path`` below ``out`` as SVG, and tell ``places``; ``words`` are its text alternative."""
    write_figure(figure, out / path, DPI, ("svg",))
    caption = entry.caption or f"{entry.summary.rstrip('.')}."
    width, height = (round(INCH * inches) for inches in figure.get_size_inches())
    drawn = Drawn(f"{path}.svg", caption, words, (width, height))
    places.figures[path] = drawn
    return drawn

"""What a page is made of, and the pieces that its sections consist of. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitmem.reports.aggregate import Training
from vitmem.reports.analyses import Analyses
from vitmem.reports.drawing import draw_figures
from vitmem.reports.files import tables_of
from vitmem.reports.page.look import Look, looks
from vitmem.reports.render import Table
from vitmem.reports.report import Report
from vitmem.rows import Row

# Column of a training's curves -> its values by line, (n,); ``epoch`` is one of the columns
Curve = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Pictures:
    """Images (m, C, H, W) uint8 of one training with what they were given, what they are, and what is predicted.

    ``given``, ``true`` and every array of ``predicted`` hold m classes, numbers into ``classes``; ``predicted`` has
    the unedited model first, then each method at its chosen setting.
    """

    about: str
    images: NDArray[np.uint8]
    given: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: Mapping[str, NDArray[np.int64]]
    classes: Sequence[str]


@dataclass(frozen=True)
class Material:
    """The rows of one suite and what is stored of it.

    ``curves`` are by the id of the training, ``analyses`` by their name. What was not found is named in ``missing``
    ("curves", "pictures") with one sentence. ``file`` is the suite's YAML file as a command names it, ``source`` its
    text.
    """

    suite: str
    rows: Sequence[Row]
    file: str
    source: str | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    pictures: Sequence[Pictures] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    analyses: Analyses = field(default_factory=dict)

    @cached_property
    def report(self) -> Report:
        """The trainings of the suite with their names: what the tables are made from."""
        return Report(self.suite, self.rows, self.analyses)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables that ``vitmem tables`` writes, by name."""
        return tables_of(self.report)

    @cached_property
    def figures(self) -> dict[str, Drawing]:
        """The figures that ``vitmem figures`` draws, by name; words that stand for one are those of its table too."""
        found = {}
        for name, (entry, figure) in draw_figures(self.report).items():
            said = self.tables[name].said if name in self.tables else ()
            words = " ".join([entry.in_words(self.report), *said])
            found[name] = Drawing(name, figure, entry.caption or f"{entry.summary}.", words)
        return found

    @cached_property
    def looks(self) -> dict[str, Look]:
        """Colour, marker and dashes of each method, the same in every figure."""
        return looks(self.report)

    @cached_property
    def judged(self) -> list[Training]:
        """The trainings with a finished unedited model."""
        return [training for training in self.report.trainings if training.base is not None]


@dataclass(frozen=True)
class Drawing:
    """A figure with the name of its files, a caption, and in words what it shows to who does not see it."""

    name: str
    figure: Figure
    caption: str
    alternative: str


@dataclass(frozen=True)
class Part:
    """A piece of a section: ``kind`` names the macro of ``parts.html`` that shows ``content``."""

    kind: str
    content: Any
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with its parts; ``id`` is what links point at."""

    id: str
    title: str
    parts: tuple[Part, ...]


def sentence(text: str) -> Part:
    """Return a part that is one paragraph."""
    return Part("paragraph", text)

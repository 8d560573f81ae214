"""Contents of a page, and the pieces of its sections. Does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitmem.reports.aggregate import Training
from vitmem.reports.analyses import Analyses
from vitmem.reports.drawing import draw_figures
from vitmem.reports.files import tables_of
from vitmem.reports.page.look import Company, Look, companies, looks
from vitmem.reports.render import Table
from vitmem.reports.report import Report
from vitmem.rows import Row

# Column of a training's curves -> its values by line, (n,); ``epoch`` is one of the columns
Curve = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Pictures:
    """Images (m, C, H, W) uint8 of one training with their given labels, true labels and predictions.

    ``given``, ``true`` and every array of ``predicted`` have m classes, indices into ``classes``; ``predicted`` has the
    unedited model first, then each method at its chosen setting; ``leading`` is the method shown below an image.
    """

    about: str
    images: NDArray[np.uint8]
    given: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: Mapping[str, NDArray[np.int64]]
    classes: Sequence[str]
    leading: str = ""


@dataclass(frozen=True)
class Material:
    """The rows of one suite and its stored artefacts.

    ``curves`` are by training id, ``analyses`` by name. ``missing`` has one sentence for each missing part ("curves",
    "pictures"). ``file`` is the suite's YAML file as named in a command, ``source`` its text.
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
        """The trainings of the suite with their names, the source of the tables."""
        return Report(self.suite, self.rows, self.analyses)

    @cached_property
    def purpose(self) -> str:
        """The sentence ``about`` of the suite's file; empty without one."""
        try:
            read = yaml.safe_load(self.source) if self.source else None
        except yaml.YAMLError:
            return ""
        return str(read.get("about") or "") if isinstance(read, dict) else ""

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables written by ``vitmem tables``, by name."""
        return tables_of(self.report)

    @cached_property
    def figures(self) -> dict[str, Drawing]:
        """The figures drawn by ``vitmem figures``, by name, with the text of their tables as alternatives."""
        drawings = {}
        for name, (entry, figure) in draw_figures(self.report).items():
            remarks = self.tables[name].said if name in self.tables else ()
            words = " ".join([entry.in_words(self.report), *remarks])
            drawings[name] = Drawing(name, figure, entry.caption or f"{entry.summary}.", words)
        return drawings

    @cached_property
    def looks(self) -> dict[str, Look]:
        """Colour, marker and dashes of each method, the same in every figure of the page."""
        return looks(self.report)

    @cached_property
    def companies(self) -> list[Company]:
        """The methods drawn together, in order."""
        return companies(self.report)

    @cached_property
    def judged(self) -> list[Training]:
        """The trainings with a finished unedited model."""
        return [training for training in self.report.trainings if training.base is not None]


@dataclass(frozen=True)
class Drawing:
    """A figure with the name of its files, a caption, and a text alternative."""

    name: str
    figure: Figure
    caption: str
    alternative: str


@dataclass(frozen=True)
class Panels:
    """Small figures side by side, or below each other on a narrow screen, with a title and one caption."""

    title: str
    drawings: list[Drawing]
    caption: str


@dataclass(frozen=True)
class Part:
    """A piece of a section: ``kind`` names the macro of ``parts.html`` that renders ``content``."""

    kind: str
    content: Any
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with its parts; ``id`` is the link target."""

    id: str
    title: str
    parts: tuple[Part, ...]


def sentence(text: str) -> Part:
    """Return a part that is one paragraph."""
    return Part("paragraph", text)

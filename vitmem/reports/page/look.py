"""Style of each method in all figures of a page, and the texts that replace a figure. Does not import torch."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from matplotlib.figure import Figure

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.choose import choose
from vitmem.reports.naming import setting, where
from vitmem.reports.render import fixed
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, DASHES, MARKERS

# Maximum length of a file name, without its suffix and distinguishing part.
LONGEST = 120
# Minimum number of settings for a curve of a method.
FEW = 2
# Legend sizes in inches: line and spacing of an entry, a letter, and the minimum width.
ENTRY, LETTER, LEGEND = 0.75, 0.075, 1.6


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes; after the last colour the first repeats with other dashes."""

    colour: str
    marker: str
    dash: str

    @property
    def line(self) -> dict[str, Any]:
        """Keyword arguments for matplotlib's plot."""
        return {"color": self.colour, "marker": self.marker, "ls": self.dash}


def looks(report: Report) -> dict[str, Look]:
    """Return a look for each method of ``report`` by its name, in the order of the tables."""
    first = [groups[0] for training in report.trainings for groups in report.methods(training)]
    names = dict.fromkeys(report.names.method(group) for group in sorted(first, key=report.names.method_order))
    styles = ((colour, dash) for dash in itertools.cycle(DASHES) for colour in COLOURS)
    return {
        name: Look(colour, MARKERS[n % len(MARKERS)], dash)
        for n, (name, (colour, dash)) in enumerate(zip(names, styles, strict=False))
    }


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend below the panels, aligned left for narrow screens, and enlarge the figure for it."""
    widest = max((len(label) for label in labels), default=0)
    columns = max(1, int(figure.get_figwidth() // max(LEGEND, ENTRY + LETTER * widest)))
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * lines)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, frameon=False)


def slug(*names: str) -> str:
    """Return ``names`` as one file name: small letters, digits and hyphens, truncated."""
    text = "-".join(re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") for name in names)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}-{sha256(text.encode()).hexdigest()[:8]}"


def place(groups: Sequence[Group], base: Group) -> list[Group]:
    """Return the settings of one method in the blocks of its chosen one, or in the blocks with the most settings."""
    best = choose(groups, base).group
    places: dict[str, list[Group]] = {}
    for group in groups:
        places.setdefault(where(group), []).append(group)
    return places[where(best)] if best is not None else max(places.values(), key=len)


def in_words(report: Report, training: Training, keys: Sequence[str]) -> str:
    """Return the values of ``keys`` for the unedited model and each method at its chosen setting, as text."""
    assert training.base is not None
    shown = [("base", training.base)]
    for groups in report.methods(training):
        best = choose(groups, training.base).group
        if best is not None:
            shown.append((f"{report.names.method(best)} at {setting(best)}", best))
    return "; ".join(f"{name}: {_values(group, keys)}" for name, group in shown) + "."


def _values(group: Group, keys: Sequence[str]) -> str:
    values = ((key, group.estimate(at("metrics", key))) for key in keys)
    return ", ".join(f"{key.replace('_', ' ')} {fixed(100 * e.mean, 1)} %" for key, e in values if e is not None)

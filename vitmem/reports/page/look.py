"""How a method looks in all figures of a page, and the words that stand for a figure. No torch."""

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

# Letters of the name of a file, beside its suffix and what sets it apart.
LONGEST = 120
# A method with fewer settings has no curve of its own.
FEW = 2
# Inches for an entry of a legend: its line and the space around it, a letter, and the least of it.
ENTRY, LETTER, LEGEND = 0.75, 0.075, 1.6


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes; past the last colour the first comes again with other dashes."""

    colour: str
    marker: str
    dash: str

    @property
    def line(self) -> dict[str, Any]:
        """What matplotlib's plot takes."""
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
    """Put a legend below the panels, at the left where a narrow screen begins, and make the figure higher for it."""
    widest = max((len(label) for label in labels), default=0)
    columns = max(1, int(figure.get_figwidth() // max(LEGEND, ENTRY + LETTER * widest)))
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * lines)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, frameon=False)


def slug(*names: str) -> str:
    """Return ``names`` as one name of a file: small letters, digits and hyphens, a long one cut."""
    text = "-".join(re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") for name in names)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}-{sha256(text.encode()).hexdigest()[:8]}"


def place(groups: Sequence[Group], base: Group) -> list[Group]:
    """Return the settings of one method in the blocks of its chosen one; without one, in the blocks with the most."""
    best = choose(groups, base).group
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(where(group), []).append(group)
    return found[where(best)] if best is not None else max(found.values(), key=len)


def in_words(report: Report, training: Training, keys: Sequence[str]) -> str:
    """Return what ``keys`` are of the unedited model and of each method at its chosen setting."""
    assert training.base is not None
    shown = [("base", training.base)]
    for groups in report.methods(training):
        best = choose(groups, training.base).group
        if best is not None:
            shown.append((f"{report.names.method(best)} at {setting(best)}", best))
    return "; ".join(f"{name}: {_values(group, keys)}" for name, group in shown) + "."


def _values(group: Group, keys: Sequence[str]) -> str:
    found = ((key, group.estimate(at("metrics", key))) for key in keys)
    return ", ".join(f"{key.replace('_', ' ')} {fixed(100 * e.mean, 1)} %" for key, e in found if e is not None)

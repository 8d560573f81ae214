"""Style of each method in all figures of a page, and the texts that replace a figure. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from matplotlib.figure import Figure

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.budget import information_of
from vitmem.reports.choose import choose
from vitmem.reports.naming import setting, where
from vitmem.reports.render import fixed
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, DASHES, MARKERS

# Maximum length of a file name, without its suffix and distinguishing part.
LONGEST = 120
# Minimum number of settings for a curve of a method.
FEW = 2
# Maximum number of methods in one panel.
TOGETHER = 8
# Width of a panel in inches, and its height without the legend.
PANEL, HIGH = 4.4, 3.2
# Legend sizes in inches: line and spacing of an entry, a letter, and the minimum width.
ENTRY, LETTER, LEGEND = 0.6, 0.06, 1.4


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


@dataclass(frozen=True)
class Company:
    """The methods of one panel, by their names; ``title`` is what they may see, empty for all methods."""

    title: str
    names: tuple[str, ...]


def companies(report: Report) -> list[Company]:
    """Return the methods of ``report`` in the order of the tables, split by information if there are many."""
    first = [groups[0] for training in report.trainings for groups in report.methods(training)]
    given: dict[str, str] = {}
    # the same method may read more in one training than in another: the most counts
    most = {report.names.method(group): group for group in sorted(first, key=report.names.method_order)}
    for name, group in sorted(most.items(), key=lambda one: report.names.method_order(one[1])):
        given[name] = information_of(group) or "information not recorded"
    if len(given) <= TOGETHER:
        return [Company("", tuple(given))] if given else []
    out = []
    for kind in dict.fromkeys(given.values()):
        names = [name for name in given if given[name] == kind]
        parts = -(-len(names) // TOGETHER)
        size = -(-len(names) // parts)
        for n in range(parts):
            part = tuple(names[n * size : (n + 1) * size])
            out.append(Company(f"{kind} ({n + 1} of {parts})" if parts > 1 else kind, part))
    return out


def looks(report: Report) -> dict[str, Look]:
    """Return a look for each method of ``report`` by its name; the looks of each panel begin with the first colour."""
    return {
        name: Look(COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)], DASHES[n // len(COLOURS) % len(DASHES)])
        for company in companies(report)
        for n, name in enumerate(company.names)
    }


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend below the panels, aligned left for narrow screens, and enlarge the figure for it."""
    widest = max((len(label) for label in labels), default=0)
    columns = max(1, int(figure.get_figwidth() // max(LEGEND, ENTRY + LETTER * widest)))
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.18 * lines)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, frameon=False, fontsize="small")


def slug(*names: str) -> str:
    """Return ``names`` as one file name: small letters, digits and hyphens, truncated."""
    text = "-".join(re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") for name in names if name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}-{sha256(text.encode()).hexdigest()[:8]}"


def place(groups: Sequence[Group], base: Group) -> list[Group]:
    """Return the settings of one method in the blocks of its chosen one, or in the blocks with the most settings."""
    best = choose(groups, base).group
    places: dict[str, list[Group]] = {}
    for group in groups:
        places.setdefault(where(group), []).append(group)
    return places[where(best)] if best is not None else max(places.values(), key=len)


def in_words(report: Report, training: Training, keys: Sequence[str], names: Sequence[str]) -> str:
    """Return the values of ``keys`` for the unedited model and the methods ``names`` at their chosen setting."""
    assert training.base is not None
    shown = [("base", training.base)]
    for groups in report.methods(training):
        best = choose(groups, training.base).group
        if best is not None and report.names.method(best) in names:
            shown.append((f"{report.names.method(best)} at {setting(best)}", best))
    return "; ".join(f"{name}: {_values(group, keys)}" for name, group in shown) + "."


def _values(group: Group, keys: Sequence[str]) -> str:
    values = ((key, group.estimate(at("metrics", key))) for key in keys)
    return ", ".join(f"{key.replace('_', ' ')} {fixed(100 * e.mean, 1)} %" for key, e in values if e is not None)

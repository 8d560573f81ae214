"""Tables of probes: memorization by band of the spectrum, and its recovery after an edit. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training, at, canonical_text, difference
from vitmem.reports.columns import CHANGE, CHANGE_OF_WEIGHTS, MEASURES, MODEL, SEEDS, percent
from vitmem.reports.naming import setting_order, strength_text, where
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

RELEARN, DIAL, BANDS = "relearn", "dial", "band_removed"
# The parameter of a probe's curve.
ALONG = {RELEARN: "steps", DIAL: "turn"}
RELEARNING = (
    "steps of training the edited layers on after the edit, 0 being the edit alone; train_on given: on clean images "
    "and on the known wrong labels, those of the selection half, so that what is memorized of the reported half is "
    "memory that nobody put back; train_on right: on clean images alone",
    "- before: less the edit alone on the same seeds",
)
DIALLED = (
    "turn: the share of what the edit removed that is put back, turn W_trained + (1 - turn) W_edited; 0 is the edit "
    "alone, 1 the unedited network",
    "- before: less the edit alone on the same seeds",
)
BANDS_NOTE = (
    "band: per cent of the vectors, from the largest eigenvalue (basis kfac: of A, the inputs' second moments) or "
    "singular value (basis svd: of the weight) down; this band alone is removed from what enters each edited layer; "
    "- base: less the unedited model on the same seeds"
)


@dataclass(frozen=True)
class Curve:
    """One edit and a probe after it: groups by steps or turn, with the edit alone at 0 if it was run."""

    name: str
    points: tuple[tuple[float, Group], ...]

    @property
    def last(self) -> Group:
        """The group of the most steps, or of the largest turn."""
        return self.points[-1][1]


def _shown(group: Group, method: str) -> bool:
    """Return whether a probe belongs to a curve; further training on some classes has its own table."""
    return group.method == method and not group.config["edit"].get("classes")


def curves(report: Report, training: Training, probe: str = RELEARN) -> list[Curve]:
    """Return the curves of a ``probe`` of ``training`` in order, named by their differences."""
    found: dict[str, list[Group]] = {}
    for group in (g for groups in report.probes(training) for g in groups if _shown(g, probe)):
        rest = {**group.config, "edit": {k: v for k, v in group.config["edit"].items() if k != ALONG[probe]}}
        found.setdefault(canonical_text(rest), []).append(group)
    firsts = [groups[0] for groups in found.values()]
    out = []
    for groups in found.values():
        points = sorted(((float(g.config["edit"][ALONG[probe]]), g) for g in groups), key=lambda point: point[0])
        before = alone(training, groups[0]) if points[0][0] > 0 else None
        out.append(Curve(name_of(report, groups[0], firsts), (*(() if before is None else ((0, before),)), *points)))
    return sorted(out, key=lambda curve: _order(report, curve))


def _order(report: Report, curve: Curve) -> tuple[Any, ...]:
    """Return a key that sorts curves: first those without an edit, then by method and strength as in other tables."""
    inner = curve.last.inner
    assert inner is not None
    return inner.method != "none", report.names.method_order(inner), setting_order(inner), curve.name


def alone(training: Training, group: Group) -> Group | None:
    """Return the group of the inner edit of ``group``, if it was run alone."""
    inner = group.inner
    assert inner is not None
    for one in (training.base, *training.edits):
        if one is None or one.config.get("statistics") != inner.config.get("statistics"):
            continue
        edit = inner.config["edit"]
        if "blocks" not in one.config["edit"]:  # it edits no blocks, unlike the further training
            edit = {key: value for key, value in edit.items() if key not in ("blocks", "layers")}
        if one.config["edit"] == edit:
            return one
    return None


def name_of(report: Report, group: Group, among: Sequence[Group]) -> str:
    """Return the name of the inner edit, with its differences ``among`` the curves of one training."""
    inners = [inner for other in among if (inner := other.inner) is not None]
    inner = group.inner
    assert inner is not None
    name = "no edit" if inner.method == "none" else report.names.method(inner)
    same = [other for other in inners if other.method == inner.method]
    if len({canonical_text(other.config["edit"]) for other in same}) > 1:
        name = report.names.edit(inner)
    skipped = ("method", "after", *ALONG.values())
    parts = [name]
    for key, value in group.config["edit"].items():
        values = {canonical_text(other.config["edit"].get(key)) for other in among}
        if key not in skipped and len(values) > 1 and value != "given":
            parts.append(f"{key} {_text(value)}")
    return ", ".join(parts)


def _text(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _columns(along: Column) -> tuple[Column, ...]:
    before = (Column(f"{name}_minus_before", f"{name} - before", "change") for name in MEASURES)
    return (
        MODEL,
        Column("after", "after"),
        Column("setting", "its setting"),
        along,
        SEEDS,
        *percent(),
        *before,
        CHANGE,
    )


@TABLES.register(
    "relearning",
    title="What comes back when training goes on",
    columns=_columns(Column("steps", "steps", "count")),
    notes=RELEARNING,
)
def relearning(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What comes back after each edit, by the number of steps of training on."""
    for head, value, cells in _along(report, RELEARN):
        yield (*head, int(value), *cells)


@TABLES.register("dial", title="Putting back what was removed", columns=_columns(Column("turn", "turn")), notes=DIALLED)
def dial(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What comes back after each edit, by the share of what it removed that is put back."""
    for head, value, cells in _along(report, DIAL):
        yield (*head, f"{value:g}", *cells)


def _along(report: Report, probe: str) -> Iterator[tuple[tuple[Cell, ...], float, list[Cell]]]:
    """Yield the head of a row, its position on the curve, and its numbers."""
    for training, _ in report.judged:
        for curve in curves(report, training, probe):
            inner, first = curve.last.inner, curve.points[0]
            head = (report.names.training(training), curve.name, None if inner is None else strength_text(inner))
            for value, group in curve.points:
                yield head, value, _cells(group, first[1] if first[0] == 0 < value else None)


@TABLES.register(
    "bands_removed",
    title="Where in the spectrum the memory sits",
    columns=(
        MODEL,
        Column("basis", "basis"),
        Column("band", "band %"),
        Column("blocks", "blocks"),
        SEEDS,
        *percent(),
        *(Column(f"{name}_minus_base", f"{name} - base", "change") for name in MEASURES),
        CHANGE,
    ),
    notes=(BANDS_NOTE,),
)
def bands_removed(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What is left with each band of a basis removed, beside the unedited model."""
    for training, base in report.judged:
        name = report.names.training(training)
        found = [group for group in training.probes if group.method == BANDS]
        if found:
            yield (name, "base", None, None, *_cells(base, None))
        for group in sorted(found, key=_place):
            edit = group.config["edit"]
            yield (name, edit["basis"], edit["band"], where(group), *_cells(group, base))


def _place(group: Group) -> tuple[Any, ...]:
    """Return a key that sorts by basis, blocks and the ends of the band."""
    edit = group.config["edit"]
    return edit["basis"], where(group), *(float(end) for end in edit["band"].split("-"))


def _cells(group: Group, before: Group | None) -> list[Cell]:
    """Return the number of seeds, the metrics, their differences from ``before`` and the relative weight change."""
    readers = [at("metrics", name) for name in MEASURES]
    changes = [None if before is None else difference(group, before, read) for read in readers]
    moved = group.estimate(CHANGE_OF_WEIGHTS)
    return [len(group.rows), *(group.estimate(read) for read in readers), *changes, moved]

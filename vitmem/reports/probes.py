"""What probes show: where in the spectrum the memory sits, and whether it comes back after an edit. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitmem.reports.aggregate import Group, Training, at, canonical_text, difference
from vitmem.reports.content import Report
from vitmem.reports.naming import setting_order, strength_text, where
from vitmem.reports.notes import INTERVAL
from vitmem.reports.render import Cell, Column, Table

RELEARN, DIAL, BANDS = "relearn", "dial", "band_removed"
# What a curve of a probe runs along.
ALONG = {RELEARN: "steps", DIAL: "turn"}
SHOWN = ("memorized", "recovered", "validation")
MEASURED = tuple(Column(name, name, "percent") for name in SHOWN)
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
    """One edit and what a probe makes of it: groups by steps or turn, the edit alone at 0 where it was run."""

    name: str
    points: tuple[tuple[float, Group], ...]

    @property
    def last(self) -> Group:
        """The group of the most steps, or of the largest turn."""
        return self.points[-1][1]


def has_probe(trainings: Sequence[Training], method: str) -> bool:
    """Say whether any finished cell is one of the probe ``method`` on a training with an unedited model.

    Training on that puts some classes back alone is no curve of ``relearn``: it has a table of its own (put_back.py).
    """
    return any(t.base is not None and any(_shown(g, method) for g in t.probes) for t in trainings)


def _shown(group: Group, method: str) -> bool:
    return group.method == method and not group.config["edit"].get("classes")


def curves(report: Report, training: Training, probe: str = RELEARN) -> list[Curve]:
    """Return the curves of a ``probe`` of ``training``, in order; a name says what differs."""
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
    """Return a key that sorts curves: after no edit, then by the method and its strength, as other tables do."""
    inner = curve.last.inner
    assert inner is not None
    return inner.method != "none", report.names.method_order(inner), setting_order(inner), curve.name


def alone(training: Training, group: Group) -> Group | None:
    """Return the group of the edit that ``group`` was made after, if it was run by itself."""
    inner = group.inner
    assert inner is not None
    for one in (training.base, *training.edits):
        if one is None or one.config.get("statistics") != inner.config.get("statistics"):
            continue
        edit = inner.config["edit"]
        if "blocks" not in one.config["edit"]:  # it edits no blocks, wherever the training on is
            edit = {key: value for key, value in edit.items() if key not in ("blocks", "layers")}
        if one.config["edit"] == edit:
            return one
    return None


def name_of(report: Report, group: Group, among: Sequence[Group]) -> str:
    """Return the name of the edit before it, with what differs ``among`` the curves of one training."""
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


def relearning(report: Report) -> Table:
    """Return a row for each edit and number of steps of training on after it."""
    return _along(report, RELEARN, Column("steps", "steps", "count"), RELEARNING)


def dialled(report: Report) -> Table:
    """Return a row for each edit and share of what it removed that is put back."""
    return _along(report, DIAL, Column("turn", "turn"), DIALLED)


def _along(report: Report, probe: str, along: Column, notes: Sequence[str]) -> Table:
    columns = (
        Column("model", "model"),
        Column("after", "after"),
        Column("setting", "its setting"),
        along,
        Column("seeds", "seeds", "count"),
        *MEASURED,
        *(Column(f"{name}_minus_before", f"{name} - before", "change") for name in SHOWN),
        Column("relative_change", "‖ΔW‖/‖W‖", "number"),
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        for curve in curves(report, training, probe) if training.base is not None else []:
            inner = curve.last.inner
            first = curve.points[0]
            head = (report.names.training(training), curve.name, None if inner is None else strength_text(inner))
            for value, group in curve.points:
                before = first[1] if first[0] == 0 < value else None
                rows.append((*head, int(value) if along.kind == "count" else f"{value:g}", *_cells(group, before)))
    return Table(report.about, columns, tuple(rows), (*report.notes, INTERVAL, *notes), report.footer)


def bands_removed(report: Report) -> Table:
    """Return a row for each basis and band that is removed, beside the unedited model."""
    columns = (
        Column("model", "model"),
        Column("basis", "basis"),
        Column("band", "band %"),
        Column("blocks", "blocks"),
        Column("seeds", "seeds", "count"),
        *MEASURED,
        *(Column(f"{name}_minus_base", f"{name} - base", "change") for name in SHOWN),
        Column("relative_change", "‖ΔW‖/‖W‖", "number"),
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        if training.base is None:
            continue
        name = report.names.training(training)
        found = [group for group in training.probes if group.method == BANDS]
        if found:
            rows.append((name, "base", None, None, *_cells(training.base, None)))
        for group in sorted(found, key=_place):
            edit = group.config["edit"]
            rows.append((name, edit["basis"], edit["band"], where(group), *_cells(group, training.base)))
    return Table(report.about, columns, tuple(rows), (*report.notes, INTERVAL, BANDS_NOTE), report.footer)


def _place(group: Group) -> tuple[Any, ...]:
    """Return a key that sorts by basis, blocks and where the band begins and ends."""
    edit = group.config["edit"]
    return edit["basis"], where(group), *(float(end) for end in edit["band"].split("-"))


def _cells(group: Group, before: Group | None) -> list[Cell]:
    """Return the number of seeds, what is measured, what differs from ``before`` and how far the weights have moved."""
    readers = [at("metrics", name) for name in SHOWN]
    changes = [None if before is None else difference(group, before, read) for read in readers]
    moved = group.estimate(at("edit", "relative_change"))
    return [len(group.rows), *(group.estimate(read) for read in readers), *changes, moved]

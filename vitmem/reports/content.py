"""What the tables of every suite hold: chosen settings, methods at matched validation, the whole sweep. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vitmem.reports.aggregate import (
    Group,
    Training,
    at,
    by_training,
    difference,
    group_rows,
    kept_share,
    seconds,
)
from vitmem.reports.analyses import Analyses
from vitmem.reports.budget import (
    INFORMATION,
    TUNING_COLUMNS,
    budget_notes,
    information_of,
    passes,
    tuning,
)
from vitmem.reports.choose import by_method, choose
from vitmem.reports.naming import ORACLES, Names, setting, setting_order, strength_text, title_of, where
from vitmem.reports.notes import (
    INTERVAL,
    RULE,
    describe,
    gate_lines,
    item_lines,
    oracle_lines,
    provenance,
    recipe_lines,
    reference_lines,
)
from vitmem.reports.render import Cell, Column, Table
from vitmem.rows import Row

DROPS = (0.0, 0.01, 0.02)
VIEWS = ("validation_without_duplicates", "validation_without_label_errors", "validation_agreement_humans")
MEASURED = ("memorized", "recovered", "other", "clean_train", "validation", *VIEWS)
MEASURED_COLUMNS = tuple(Column(name, name.replace("_", " "), "percent") for name in MEASURED)
EDIT_COLUMNS = (
    Column("kept_pairs", "kept pairs %", "share"),
    Column("kept_mass", "kept mass %", "share"),
    Column("relative_change", "‖ΔW‖/‖W‖", "number"),
    Column("passes", "passes", "passes"),
    Column("seconds", "seconds", "seconds"),
)
SECONDS = "seconds: collecting the statistics and editing, mean over the seeds; the training is not counted"
KEPT = "kept pairs: share of all pairs of directions; for SVD, of the singular values"


class Report:
    """The trainings of one suite in order, with their names: what every table is made from."""

    def __init__(self, suite: str, rows: Sequence[Row], analyses: Analyses | None = None) -> None:
        """Group ``rows``; raises InputError when two are the same cell and seed.

        ``analyses`` are what ``vitmem analyse`` found inside the networks.
        """
        self.analyses: Analyses = analyses or {}
        trainings = by_training(group_rows(rows))
        self.names = Names.of(trainings)
        self.trainings = sorted(trainings, key=self.names.training_order)
        self.about = describe(suite, rows)
        notes = (recipe_lines, reference_lines, gate_lines, oracle_lines)
        lines = [line for lines in notes for line in lines(self.trainings, self.names)]
        self.notes = (*lines, *item_lines(rows))
        self.footer = tuple(provenance(rows))
        metrics = {name for row in rows for name in row.get("metrics", {})}
        self.metrics = metrics
        counted, self.told, self.tuning = budget_notes(rows)
        self.costs = (SECONDS, *counted)
        # each training with what comparison.py found of it, by the training's identity: two tables show it
        self.compared: dict[int, tuple[Training, Any]] = {}
        self._methods = {id(training): self._ordered(training.edits) for training in self.trainings}
        self.families = sorted(name.removeprefix("accuracy_") for name in metrics if name.startswith("accuracy_"))

    def methods(self, training: Training) -> list[list[Group]]:
        """Return the settings of each method of ``training``, both in order; probes are no methods."""
        found = self._methods.get(id(training))
        return self._ordered(training.edits) if found is None else found

    def probes(self, training: Training) -> list[list[Group]]:
        """Return the settings of each probe of ``training``, both in order."""
        return self._ordered(training.probes)

    def _ordered(self, groups: Sequence[Group]) -> list[list[Group]]:
        found = sorted(by_method(groups).values(), key=lambda some: self.names.method_order(some[0]))
        return [sorted(some, key=setting_order) for some in found]


def oracles(training: Training) -> list[Group]:
    """Return the oracles of ``training`` in the order of their names."""
    known = list(ORACLES)
    return sorted(training.oracles, key=lambda g: known.index(str(g.oracle)) if g.oracle in known else len(known))


def chosen(report: Report) -> Table:
    """Return a row for the unedited model, each oracle and each method at its chosen setting, by training."""
    columns = (
        Column("model", "model"),
        Column("method", "method"),
        INFORMATION,
        Column("setting", "setting"),
        Column("seeds", "seeds", "count"),
        *MEASURED_COLUMNS,
        *EDIT_COLUMNS,
        *TUNING_COLUMNS,
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        if training.base is None:
            continue
        name = report.names.training(training)
        for group in (training.base, *oracles(training)):
            rows.append((name, report.names.method(group), None, None, len(group.rows), *_numbers(group), None, None))
        for groups in report.methods(training):
            choice = choose(groups, training.base)
            head, tried = (name, report.names.method(groups[0]), information_of(groups[0])), tuning(groups)
            if choice.group is None:
                empty = [None] * (len(columns) - len(head) - 2 - len(tried))
                rows.append((*head, choice.why, None, *empty, *tried))
            else:
                group = choice.group
                rows.append((*head, setting(group), len(group.rows), *_numbers(group), *tried))
    notes = (*report.notes, INTERVAL, RULE, KEPT, *report.costs, *report.told, *report.tuning)
    return Table(report.about, columns, tuple(rows), notes, report.footer)


def matched(report: Report) -> Table:
    """Return each method at the largest fall of memorized that several losses of accuracy allow."""
    columns = (
        Column("model", "model"),
        Column("allowed_drop", "allowed loss"),
        Column("method", "method"),
        INFORMATION,
        Column("setting", "setting"),
        Column("seeds", "seeds", "count"),
        Column("memorized", "memorized", "percent"),
        Column("recovered", "recovered", "percent"),
        Column("validation", "validation", "percent"),
        Column("validation_minus_base", "validation - base", "change"),
        Column("validation_minus_kfac", "validation - K-FAC", "change"),
        Column("memorized_minus_kfac", "memorized - K-FAC", "change"),
        Column("recovered_minus_kfac", "recovered - K-FAC", "change"),
    )
    places = [(training, drop) for training in report.trainings for drop in DROPS]
    rows = [row for training, drop in places for row in _matched_rows(report, training, drop)]
    notes = (
        *report.notes,
        INTERVAL,
        "for each allowed loss of selection accuracy (points), the setting with the largest fall of "
        "memorized on the selection halves, reported on the other halves; differences are paired over "
        "the same seeds, and validation - K-FAC says how well the methods are matched",
        *report.told,
    )
    return Table(report.about, columns, tuple(rows), notes, report.footer)


def _matched_rows(report: Report, training: Training, drop: float) -> Iterator[tuple[Cell, ...]]:
    if training.base is None:
        return
    name, allowed = report.names.training(training), f"{100 * drop:g}"
    choices = [(groups[0], choose(groups, training.base, drop)) for groups in report.methods(training)]
    kfac = next((choice.group for first, choice in choices if report.names.method(first) == title_of("kfac")), None)
    for first, choice in choices:
        head = (name, allowed, report.names.method(first), information_of(first))
        group = choice.group
        if group is None:
            yield (*head, choice.why, None, *([None] * 7))
            continue
        against: list[Cell] = [None, None, None]
        if kfac is not None and group is not kfac:
            against = [difference(group, kfac, at("metrics", key)) for key in ("validation", "memorized", "recovered")]
        measured = [group.estimate(at("metrics", key)) for key in ("memorized", "recovered", "validation")]
        change = difference(group, training.base, at("metrics", "validation"))
        yield (*head, setting(group), len(group.rows), *measured, change, *against)


def sweep(report: Report) -> Table:
    """Return a row for every cell over its seeds, with the selection halves that choices are made on."""
    columns = (
        Column("model", "model"),
        Column("method", "method"),
        INFORMATION,
        Column("blocks", "blocks"),
        Column("strength", "strength"),
        Column("seeds", "seeds", "count"),
        *MEASURED_COLUMNS,
        Column("selection_memorized", "selection memorized", "percent"),
        Column("selection_validation", "selection validation", "percent"),
        *EDIT_COLUMNS,
    )
    rows: list[tuple[Cell, ...]] = []
    names = report.names
    for training in report.trainings:
        base = [training.base] if training.base else []
        edits = (g for groups in (*report.methods(training), *report.probes(training)) for g in groups)
        for group in (*base, *oracles(training), *edits):
            method = (names.method(group), information_of(group))
            head = (names.training(training), *method, where(group), strength_text(group))
            numbers = _numbers(group)
            selection = [group.estimate(at("selection", key)) for key in ("memorized", "validation")]
            split = len(MEASURED)
            rows.append((*head, len(group.rows), *numbers[:split], *selection, *numbers[split:]))
    return Table(
        report.about, columns, tuple(rows), (*report.notes, INTERVAL, KEPT, *report.costs, *report.told), report.footer
    )


def _numbers(group: Group) -> list[Cell]:
    """Return the cells of the measured and the edit columns."""
    readers = [at("metrics", name) for name in MEASURED]
    readers += [kept_share, at("edit", "kept_mass"), at("edit", "relative_change"), passes, seconds]
    return [group.estimate(read) for read in readers]

"""The trainings of one suite in order, with their names: the source of every table and figure. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from vitmem.reports.aggregate import Group, Training, by_training, group_rows
from vitmem.reports.analyses import Analyses
from vitmem.reports.choose import by_method
from vitmem.reports.naming import ORACLES, Names, setting_order
from vitmem.reports.notes import (
    average_lines,
    describe,
    gate_lines,
    item_lines,
    oracle_lines,
    provenance,
    recipe_lines,
    reference_lines,
)
from vitmem.rows import Row


class Report:
    """The rows of one suite by training, each with its unedited model and the settings of every method."""

    def __init__(self, suite: str, rows: Sequence[Row], analyses: Analyses | None = None) -> None:
        """Group ``rows``; raises InputError when two are the same cell and seed.

        ``analyses`` are the results of ``vitmem analyse`` inside the networks.
        """
        self.suite, self.rows = suite, rows
        self.analyses: Analyses = analyses or {}
        trainings = by_training(group_rows(rows))
        self.names = Names.of(trainings)
        self.trainings = sorted(trainings, key=self.names.training_order)
        self.about = describe(suite, rows)
        notes = (recipe_lines, average_lines, reference_lines, gate_lines, oracle_lines)
        lines = [line for lines in notes for line in lines(self.trainings, self.names)]
        self.notes = (*lines, *item_lines(rows))
        self.footer = tuple(provenance(rows))
        self.metrics = {name for row in rows for name in row.get("metrics", {})}
        # each training's result of comparison.py, by the training's identity, shared by two tables
        self.compared: dict[int, tuple[Training, Any]] = {}
        self._methods = {id(training): self._ordered(training.edits) for training in self.trainings}

    @cached_property
    def judged(self) -> list[tuple[Training, Group]]:
        """The trainings with a finished unedited model, each with that model."""
        return [(training, training.base) for training in self.trainings if training.base is not None]

    @cached_property
    def families(self) -> list[str]:
        """The families of questions, for text."""
        return sorted(name.removeprefix("accuracy_") for name in self.metrics if name.startswith("accuracy_"))

    def methods(self, training: Training) -> list[list[Group]]:
        """Return the settings of each method of ``training``, both in order, without probes."""
        methods = self._methods.get(id(training))
        return self._ordered(training.edits) if methods is None else methods

    def leading(self, training: Training) -> list[Group]:
        """Return the settings of the method shown where one has room: K-FAC, or the first; empty without a method."""
        return min(self.methods(training), key=lambda some: self.names.leading_order(some[0]), default=[])

    def probes(self, training: Training) -> list[list[Group]]:
        """Return the settings of each probe of ``training``, both in order."""
        return self._ordered(training.probes)

    def cells(self, training: Training) -> list[Group]:
        """Return all groups of ``training`` in order: the unedited model, oracles, methods and probes."""
        edits = [g for groups in (*self.methods(training), *self.probes(training)) for g in groups]
        return [*([training.base] if training.base else []), *oracles(training), *edits]

    def _ordered(self, groups: Sequence[Group]) -> list[list[Group]]:
        ordered = sorted(by_method(groups).values(), key=lambda some: self.names.method_order(some[0]))
        return [sorted(some, key=setting_order) for some in ordered]


def oracles(training: Training) -> list[Group]:
    """Return the oracles of ``training`` in the order of their names."""
    known = list(ORACLES)
    return sorted(training.oracles, key=lambda g: known.index(str(g.oracle)) if g.oracle in known else len(known))

"""Columns shared by many tables, and the readers of their cells. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterable

from vitmem.reports.aggregate import Group, Training, at, kept_share, seconds
from vitmem.reports.budget import INFORMATION, information_of, passes
from vitmem.reports.choose import DROP
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

MEASURES = ("memorized", "recovered", "validation")
VIEWS = ("validation_without_duplicates", "validation_without_label_errors", "validation_agreement_humans")
MEASURED = ("memorized", "recovered", "other", "clean_train", "validation", *VIEWS)
MODEL, METHOD = Column("model", "model"), Column("method", "method")
SETTING, SEEDS = Column("setting", "setting"), Column("seeds", "seeds", "count")
HEAD = (MODEL, METHOD, INFORMATION)
CHANGE = Column("relative_change", "‖ΔW‖/‖W‖", "number", "norm of the change over that of all edited matrices")
CHANGE_OF_WEIGHTS = at("edit", "relative_change")
EDIT_READS = (kept_share, at("edit", "kept_mass"), CHANGE_OF_WEIGHTS, passes, seconds)
EDIT_COLUMNS = (
    Column("kept_pairs", "kept pairs %", "share", "share of all pairs of directions; for SVD, of the singular values"),
    Column("kept_mass", "kept mass %", "share"),
    CHANGE,
    Column(
        "passes",
        "passes",
        "passes",
        "passes of the method's gradients and of its statistics over their examples; for a method that trains weights, "
        "kept pairs are unchanged weights",
    ),
    Column(
        "seconds",
        "seconds",
        "seconds",
        "time for statistics and edit, mean over the seeds, without the training",
    ),
)
RULE = (
    f"chosen on the selection halves: the largest fall of memorized among the settings that lose at most "
    f"{100 * DROP:g} points of accuracy, averaged over the seeds; reported on the other halves"
)
NO_LOSS = (
    "at no loss: the setting with the largest fall of memorized on the selection halves among the settings of a method "
    "that lose no selection accuracy, averaged over the seeds; reported on the other halves"
)


def percent(names: Iterable[str] = MEASURES) -> tuple[Column, ...]:
    """Return a column for each of the measures ``names``, shares of images in percent."""
    return tuple(Column(name, name.replace("_", " "), "percent") for name in names)


def named(report: Report, training: Training, group: Group) -> tuple[Cell, ...]:
    """Return the cells of ``HEAD``."""
    return report.names.training(training), report.names.method(group), information_of(group)


def measured(group: Group, names: Iterable[str] = MEASURES) -> tuple[Cell, ...]:
    """Return the number of seeds and the measures ``names``."""
    return len(group.rows), *(group.estimate(at("metrics", name)) for name in names)


def edited(group: Group) -> tuple[Cell, ...]:
    """Return the cells of ``EDIT_COLUMNS``."""
    return tuple(group.estimate(read) for read in EDIT_READS)

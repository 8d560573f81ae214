"""Every cell with its numbers and the command to rerun it. Does not import torch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from vitmem.reports.aggregate import Estimate, Group, Training, at, training_config
from vitmem.reports.columns import MEASURES
from vitmem.reports.naming import setting_order, strength_text, where
from vitmem.reports.page.material import Material
from vitmem.reports.render import Cell, Column, Table
from vitmem.rows import Row

COLUMNS = (
    Column("id", "cell"),
    Column("model", "model"),
    Column("method", "method"),
    Column("blocks", "blocks"),
    Column("strength", "strength"),
    Column("seed", "seed", "count"),
    *(Column(name, name, "percent") for name in MEASURES),
    Column("status", "status"),
)


@dataclass(frozen=True)
class Rerun:
    """The command to rerun one cell, and its resolved config."""

    command: str
    config: str


def cells(material: Material) -> tuple[Table, list[Rerun]]:
    """Return a table of all cells, finished or not, and their reruns, in the same order."""
    ordered = sorted(material.rows, key=lambda row: _order(material, row))
    table = Table("cells", material.report.about, COLUMNS, tuple(tuple(_cells(material, row)) for row in ordered))
    return table, [rerun(material.file, row) for row in ordered]


def rerun(file: str, row: Row) -> Rerun:
    """Return the rerun of the cell of ``row`` into new folders: stored files are neither read nor replaced."""
    command = f"vitmem run {shlex.quote(file)} --only {shlex.quote(row['id'])} --results again --store again"
    return Rerun(command, json.dumps(row["config"], indent=1, sort_keys=True, ensure_ascii=False))


def _alone(row: Row) -> Group:
    config = {key: value for key, value in row["config"].items() if key != "seed"}
    return Group(config, {row["config"]["seed"]: row})


def _training(row: Row) -> Training:
    return Training(training_config(row["config"]), None, ())


def _order(material: Material, row: Row) -> tuple[object, ...]:
    """Return the sort key of a cell: training, unedited and oracles first, then methods and settings, then the seed."""
    names, group = material.report.names, _alone(row)
    edited = group.method != "none"
    place = (edited, group.oracle or "", names.method_order(group), setting_order(group))
    return (*names.training_order(_training(row)), place, row["config"]["seed"], row["id"])


def _cells(material: Material, row: Row) -> Iterator[Cell]:
    names, group = material.report.names, _alone(row)
    yield from (row["id"], names.training(_training(row)), names.method(group), where(group), strength_text(group))
    yield row["config"]["seed"]
    for name in MEASURES:
        value = at("metrics", name)(row)
        yield None if value is None else Estimate(value, None, 1)
    yield row["status"] if row["status"] == "ok" else f"{row['status']}: {row.get('reason', 'no reason was kept')}"

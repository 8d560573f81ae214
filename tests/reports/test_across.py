"""Trainings against methods, from rows that can be computed by hand, and what their names leave out."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from vitmem.reports.files import render_tables
from vitmem.reports.report import Report

Row = dict[str, Any]
NOISES = (
    {"name": "symmetric", "rate": 0.1},
    {"name": "pmd", "rate": 0.1, "probabilities": "a/b.safetensors"},
    {"name": "human", "column": "worse_label"},
    {"name": "pair", "rate": 0.1},
)


def under(toy: list[Row], noises: tuple[dict[str, Any], ...]) -> list[Row]:
    """Return the toy rows once for each noise; each memorizes a tenth less than the one before."""
    out = []
    for n, noise in enumerate(noises):
        for row in toy:
            changed = {**row, "id": f"{row['id']}-{n}", "config": {**row["config"], "noise": noise}}
            if "metrics" in row:
                changed["metrics"] = {**row["metrics"], "memorized": row["metrics"]["memorized"] * (1 - n / 10)}
            out.append(changed)
    return out


def test_a_column_for_each_method_and_a_row_for_each_noise(toy: list[Row]) -> None:
    plain = list(csv.DictReader(io.StringIO(render_tables(Report("toy", toy))["chosen.csv"])))
    rows = list(csv.DictReader(io.StringIO(render_tables(Report("toy", under(toy, NOISES)))["across.csv"])))
    assert [(row["measure"], row["model"]) for row in rows[:4]] == [
        ("memorized", f"vit noise={name}") for name in ("human", "pair", "pmd", "symmetric")
    ]
    assert len(rows) == 12 and rows[4]["measure"] == "recovered"
    for row in plain:
        if row["memorized"]:
            column = "base" if row["method"] == "base" else row["method"]
            assert float(rows[3][column]) == pytest.approx(float(row["memorized"]))
            assert float(rows[1][column]) == pytest.approx(0.7 * float(row["memorized"]))
    assert list(rows[0])[:5] == ["measure", "model", "base", "base_interval", "K-FAC"]


def test_few_trainings_have_none(toy: list[Row]) -> None:
    assert "across.csv" not in render_tables(Report("toy", under(toy, NOISES[:2])))


def test_a_noise_is_told_by_its_name_where_that_is_enough(toy: list[Row]) -> None:
    names = Report("toy", under(toy, (*NOISES, {"name": "pair", "rate": 0.2})))
    assert [names.names.training(training) for training in names.trainings] == [
        "vit noise=human", "vit noise=pair rate=0.1", "vit noise=pair rate=0.2", "vit noise=pmd rate=0.1",
        "vit noise=symmetric rate=0.1",
    ]  # fmt: skip
    assert "noise human and pair and pmd and symmetric" in names.about

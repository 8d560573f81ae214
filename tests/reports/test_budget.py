"""What methods were told and what their tuning took, from rows counted by hand; rows without it look as before."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from vitmem.reports.aggregate import Estimate, group_rows
from vitmem.reports.budget import passes, tuning
from vitmem.reports.files import render_tables
from vitmem.reports.glossary import glossary
from vitmem.reports.report import Report

Row = dict[str, Any]
HALF = {"report": (0.4, 0.5), "selection": (0.4, 0.5)}


def recorded(row: Row, told: str, statistics: str | None = None, gradients: float = 0.0) -> Row:
    """Return ``row`` as a run writes it now: with what its method was told, and passes of statistics and edit."""
    row["edit"] |= {"information": told, **({"passes": gradients} if gradients else {})}
    row["ids"] = {"training": "t", **({"statistics": statistics} if statistics else {})}
    if statistics:
        row["costs"]["statistics_passes"] = 2 if statistics == "eigen" else 1
    return row


@pytest.fixture
def now(make_row: Callable[..., Row]) -> list[Row]:
    """One seed: a base, three settings of K-FAC on two sets of statistics, two of SSD that take 1.5 passes each."""
    kfac, ssd = {"method": "kfac", "blocks": "all"}, {"method": "ssd", "blocks": "last"}
    return [
        make_row(0, {"method": "none"}, **HALF),
        recorded(make_row(0, {**kfac, "fraction": 0.1}, **HALF), "unlabelled", "plain"),
        recorded(make_row(0, {**kfac, "fraction": 0.2}, **HALF), "unlabelled", "plain"),
        recorded(make_row(0, {**kfac, "fraction": 0.3}, **HALF), "unlabelled", "eigen"),
        recorded(make_row(0, {**ssd, "alpha": 5.0}, **HALF), "retain + forget", gradients=1.5),
        recorded(make_row(0, {**ssd, "alpha": 10.0}, **HALF), "retain + forget", gradients=1.5),
    ]


def test_statistics_are_counted_once_and_gradients_for_every_setting(now: list[Row]) -> None:
    kfac = [g for g in group_rows(now) if g.method == "kfac"]
    assert tuning(kfac) == (3, Estimate(3.0, None, 1))
    assert tuning([g for g in group_rows(now) if g.method == "ssd"]) == (2, Estimate(3.0, None, 1))
    assert [passes(row) for row in now] == [None, 1, 1, 2, 1.5, 1.5]


def test_tuning_is_a_mean_over_the_seeds(now: list[Row], make_row: Callable[..., Row]) -> None:
    second = make_row(1, {"method": "ssd", "blocks": "last", "alpha": 5.0}, **HALF)
    ssd = [g for g in group_rows([*now, recorded(second, "retain + forget", gradients=2.0)]) if g.method == "ssd"]
    tried, mean = tuning(ssd)
    assert tried == 2 and mean is not None and (mean.mean, mean.n) == (2.5, 2)


def test_tables_show_both_where_they_were_recorded(now: list[Row]) -> None:
    tables = render_tables(Report("toy", now))
    rows = list(csv.DictReader(io.StringIO(tables["chosen.csv"])))
    shown = [(r["method"], r["information"], r["passes"], r["settings_tried"], r["tuning_passes"]) for r in rows]
    assert shown == [
        ("base", "", "", "", ""),
        ("K-FAC", "unlabelled", "1", "3", "3"),
        ("SSD", "retain + forget", "1.5", "2", "3"),
    ]
    assert "- tried: number of settings of the method" in glossary()
    assert "- information: what a method uses besides the weights: data-free nothing" in glossary()
    for name in ("chosen", "matched", "sweep", "front"):
        assert "information" in tables[f"{name}.csv"].splitlines()[0]


def test_nothing_is_guessed_for_rows_that_do_not_say(now: list[Row], toy: list[Row]) -> None:
    for text in render_tables(Report("toy", toy), "md", "tex").values():
        assert "information" not in text and "tuning" not in text
    del now[1]["edit"]["information"]
    assert tuning([g for g in group_rows(now) if g.method == "kfac"]) == (None, None)

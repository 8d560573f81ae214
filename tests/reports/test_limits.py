"""Methods at the same allowed change of the weights: settings by hand."""

from __future__ import annotations

import csv
import io
from typing import Any

from vitmem.reports.files import render_tables
from vitmem.reports.report import Report

Row = dict[str, Any]


def test_a_setting_is_chosen_among_those_that_change_no_more(toy: list[Row]) -> None:
    changes = {0.01: (0.2, 0.3), 0.002: (0.6, 0.8)}  # of K-FAC on the last block, by seed: 0.25 and 0.7 on average
    for row in toy:
        edit = row["config"]["edit"]
        if edit.get("blocks") == "last" and edit["method"] == "kfac":
            row["edit"]["relative_change"] = changes[edit["fraction"]][row["config"]["seed"]]
    rows = list(csv.DictReader(io.StringIO(render_tables(Report("toy", toy))["change.csv"])))
    found = {(r["allowed_change"], r["method"]): r for r in rows}
    # SVD and the random basis change by 0.5, and nothing of them is shown below
    assert [key for key in found if key[0] == "0.25"] == [("0.25", "K-FAC")]
    assert found["0.25", "K-FAC"]["setting"] == "last, fraction 0.01"
    assert found["0.5", "K-FAC"]["setting"] == "last, fraction 0.01"
    assert found["0.75", "K-FAC"]["setting"] == found["1", "K-FAC"]["setting"] == "last, fraction 0.002"
    assert found["0.75", "K-FAC"]["relative_change"] == "0.7"
    assert found["0.5", "random basis"]["setting"] == "no setting loses at most 2 points"
    # SVD less K-FAC by seed: .6 - .5 and .8 - .6 at 0.5, .6 - .3 and .8 - .4 at 0.75
    assert found["0.5", "SVD"]["memorized_minus_kfac"] == "0.15"
    assert found["0.75", "SVD"]["memorized_minus_kfac"] == "0.35"
    assert found["0.75", "K-FAC"]["memorized_minus_kfac"] == "" and found["0.75", "SVD"]["seconds"] == "3"


def test_what_stands_against_kfac_stands_against_none_of_its_variants(toy: list[Row]) -> None:
    variants = []
    for row in (r for r in toy if r["config"]["edit"]["method"] == "kfac"):
        row["edit"]["relative_change"] = 0.9
        config = {**row["config"], "statistics": {**row["config"]["statistics"], "temperature": 10.0}}
        variants.append({**row, "id": row["id"] + "-hot", "config": config, "edit": {"relative_change": 0.2}})
    rows = list(csv.DictReader(io.StringIO(render_tables(Report("toy", [*variants, *toy]))["change.csv"])))
    found = {(r["allowed_change"], r["method"]): r["memorized_minus_kfac"] for r in rows}
    assert ("0.5", "K-FAC temperature=10") in found and ("0.5", "K-FAC") not in found
    assert found["0.5", "SVD"] == "" and found["1", "SVD"] != ""


def test_a_setting_is_chosen_among_those_that_read_the_data_no_more_often(toy: list[Row]) -> None:
    assert "cost.csv" not in render_tables(Report("toy", toy))  # these rows record no passes
    for row in toy:
        edit = row["config"]["edit"]
        if edit["method"] == "kfac":  # statistics of two passes, and one more for the gentler setting
            row["costs"]["statistics_passes"] = 2.0
            row["edit"]["passes"] = 1.0 if edit["fraction"] == 0.01 else 0.0
    rows = list(csv.DictReader(io.StringIO(render_tables(Report("toy", toy))["cost.csv"])))
    found = {(r["allowed_passes"], r["method"]): r for r in rows}
    # nothing was recorded for SVD: it reads nothing and takes part at every level
    assert found["0", "SVD"]["setting"] == found["10", "SVD"]["setting"] and ("0", "K-FAC") not in found
    assert found["3", "K-FAC"]["passes"] == "2" and ("1", "K-FAC") not in found
    assert found["0", "SVD"]["memorized_minus_kfac"] == "" and found["3", "SVD"]["memorized_minus_kfac"] != ""

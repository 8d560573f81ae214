"""The headline table: methods by what they are told, with what the comparison says of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from vitmem.outcomes import packed
from vitmem.reports.aggregate import group_rows
from vitmem.reports.naming import setting
from vitmem.reports.tables import render_tables

Row = dict[str, Any]


def test_a_setting_says_what_differs_among_those_of_the_method(make_row: Callable[..., Row]) -> None:
    edits = [{"method": "scrub", "blocks": "last", "epochs": 3, "lr": lr} for lr in (0.1, 0.5)]
    groups = group_rows([make_row(0, edit, report=(0.5, 0.5), selection=(0.5, 0.5)) for edit in edits])
    assert [setting(g, groups) for g in groups] == ["last, lr 0.1", "last, lr 0.5"]
    assert setting(groups[0], groups[:1]) == setting(groups[0]) == "last, epochs 3 lr 0.1"


def test_methods_stand_by_what_they_are_told_with_their_distance_to_kfac(toy: list[Row]) -> None:
    rng = np.random.default_rng(0)
    assert "headline.csv" not in render_tables("toy", toy)  # no outcomes, no pairs
    for row in toy:
        shares = {name: row["metrics"][name] for name in ("memorized", "recovered", "validation")}
        row["outcomes"] = {name: packed(rng.random(400) < share) for name, share in shares.items()}
        told = {"kfac": "U", "svd": "D0", "random_basis": "D0"}.get(row["config"]["edit"]["method"])
        row["ids"] = {}
        row["edit"] |= {} if told is None else {"input_class": told, "passes": 0.0}
    tables = render_tables("toy", toy)
    found = list(csv.DictReader(io.StringIO(tables["headline.csv"])))
    assert [(r["method"], r["input_class"]) for r in found] == [
        ("base", ""), ("SVD", "D0"), ("random basis", "D0"), ("K-FAC", "U"),
    ]  # fmt: skip
    compared = {
        r["method"]: r for r in csv.DictReader(io.StringIO(tables["comparison.csv"])) if r["outcome"] == "memorized"
    }
    for row in found:
        if row["method"] in compared:
            other = compared[row["method"]]
            assert row["memorized_minus_kfac"].rstrip("*").endswith(f"({other['bootstrap']})")
            assert row["memorized_minus_kfac"].endswith("*") == other["holm"].startswith("<")
    assert found[0]["memorized_minus_kfac"].endswith("*") and found[-1]["memorized_minus_kfac"] == ""
    assert found[2]["setting"] == "no setting loses at most 2 points" and found[2]["validation"] == ""

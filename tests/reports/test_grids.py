"""Whether what was chosen lies inside its grid, on rows whose choices are known."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from vitmem.reports.aggregate import group_rows
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.reports.tables.grids import judged

Row = dict[str, Any]
KFAC = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last"}
SAP = {"method": "sap", "blocks": "last"}


@pytest.fixture
def make(make_row: Callable[..., Row]) -> Callable[..., Row]:
    def one(edit: dict[str, Any], memorized: float, validation: float, change: float | None) -> Row:
        row = make_row(0, edit, report=(memorized, validation), selection=(memorized, validation))
        if row["edit"].pop("relative_change", None) is not None and change is not None:
            row["edit"]["relative_change"] = change
        return row

    return one


def table(rows: list[Row]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["grids.csv"])))


def test_chosen_at_each_loss_by_hand(make: Callable[..., Row]) -> None:
    rows = [
        make({"method": "none"}, 0.9, 0.50, None),
        # no loss: .1 of {.01, .05, .1, .5}; 2 points: .01, the smallest, which changes the weights most
        make({**KFAC, "fraction": 0.01}, 0.2, 0.48, 0.9),
        make({**KFAC, "fraction": 0.05}, 0.4, 0.49, 0.6),
        make({**KFAC, "fraction": 0.1}, 0.5, 0.50, 0.5),
        make({**KFAC, "fraction": 0.5}, 0.8, 0.51, 0.1),
        # no loss: nothing; 2 points: the weakest, whose alpha is the largest
        make({**SAP, "alpha": 10.0}, 0.1, 0.30, 0.8),
        make({**SAP, "alpha": 100.0}, 0.5, 0.49, 0.4),
        # inside at both losses: the larger edge would be stronger
        *(
            make({"method": "svd_rmt", "blocks": "last", "edge": edge}, memorized, validation, edge)
            for edge, memorized, validation in ((0.5, 0.8, 0.5), (1.0, 0.6, 0.5), (1.5, 0.1, 0.4))
        ),
        # neither of these is a sweep
        make({"method": "ablate", "blocks": "last"}, 0.1, 0.1, 1.0),
        make({"method": "svd", "blocks": "last", "rank_fraction": 0.1}, 0.1, 0.5, 0.5),
    ]
    found = table(rows)
    told = [(r["method"], r["grid_no_loss"], r["verdict_no_loss"], r["verdict_two_points"]) for r in found]
    assert told == [
        ("K-FAC", "fraction 0.01 ... 0.5 (4 values, smaller is stronger)", "inside", "at the strong end"),
        ("SAP", "", "none qualifies", "at the weak end"),
        ("SVD (RMT)", "edge 0.5 ... 1.5 (3 values, larger is stronger)", "inside", "inside"),
    ]
    assert [found[0][f"setting_{end}"] for end in ("no_loss", "two_points")] == [
        "last, fraction 0.1", "last, fraction 0.01"
    ]  # fmt: skip
    text = render_tables(Report("toy", rows))["grids.md"]
    assert "at no loss 2 of 3 choices are inside their grid; 1 none qualifies" in text
    assert "at 2 points 1 of 3 choices are inside their grid; 1 at the strong end, 1 at the weak end" in text


def test_each_set_of_layers_has_a_grid_of_its_own(make: Callable[..., Row]) -> None:
    mixing = {**KFAC, "layers": ["mlp_tokens.fc1", "mlp_tokens.fc2"]}
    rows = [
        make({"method": "none"}, 0.9, 0.50, None),
        make({**KFAC, "fraction": 0.01}, 0.2, 0.40, 0.9),
        make({**KFAC, "fraction": 0.05}, 0.4, 0.50, 0.6),
        make({**KFAC, "fraction": 0.1}, 0.5, 0.50, 0.5),
        # every cut of the token MLPs loses accuracy, which the cut of the model's own layers must not hide
        make({**mixing, "fraction": 0.1}, 0.1, 0.30, 0.9),
        make({**mixing, "fraction": 0.5}, 0.2, 0.40, 0.7),
    ]
    told = [(r["layers"], r["setting_no_loss"], r["verdict_no_loss"]) for r in table(rows)]
    assert told == [
        ("mlp_tokens.fc1+mlp_tokens.fc2", "", "none qualifies"),
        ("the model's own", "last, fraction 0.05", "inside"),
    ]


def test_a_grid_is_that_of_the_same_blocks_and_other_parameters(make: Callable[..., Row]) -> None:
    edits = [
        *({"method": "eu_k", "blocks": "last", "lr": lr, "steps": n} for lr in (0.1, 0.2, 0.4) for n in (5, 10)),
        *({"method": "eu_k", "blocks": "all", "lr": lr, "steps": 5} for lr in (0.05, 0.8)),
        {"method": "eu_k", "blocks": "first", "lr": 0.2, "steps": 5},
        {"method": "eu_k", "blocks": "last", "match_drop": 0.01, "steps": 5},
    ]
    groups = group_rows([make(e, 0.5, 0.5, e.get("lr", 1) * e["steps"]) for e in edits])
    place = {(g.config["edit"]["blocks"], g.config["edit"].get("lr"), g.config["edit"]["steps"]): g for g in groups}
    middle = "lr 0.1 ... 0.4 (3 values, larger is stronger); steps 5 ... 10 (2 values, larger is stronger)"
    assert judged(place["last", 0.2, 5], groups) == (middle, "at the weak end")
    assert judged(place["last", 0.2, 10], groups) == (middle, "at the strong end")
    assert judged(place["all", 0.05, 5], groups)[0] == "lr 0.05 ... 0.8 (2 values, larger is stronger)"
    assert judged(place["first", 0.2, 5], groups) == (None, "one value only")
    assert judged(place["last", None, 5], groups) == (None, "one value only")


def test_an_end_of_which_nothing_is_known(make: Callable[..., Row]) -> None:
    groups = group_rows([make({**SAP, "alpha": alpha}, 0.5, 0.5, None) for alpha in (1.0, 2.0)])
    assert judged(groups[0], groups) == ("alpha 1 ... 2 (2 values)", "at an end")


def test_a_suite_without_a_sweep_has_no_table(make: Callable[..., Row]) -> None:
    rows = [make({"method": "none"}, 0.9, 0.5, None), make({**KFAC, "fraction": 0.01}, 0.2, 0.5, 0.9)]
    assert "grids.csv" not in render_tables(Report("toy", rows))
    swept = [*rows, make({**KFAC, "fraction": 0.1}, 0.2, 0.5, 0.9)]
    assert "grids.csv" in render_tables(Report("toy", swept))

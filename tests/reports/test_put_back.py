"""What comes back with some classes, from rows computed by hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vitmem.reports.studies.relearning.tables import curves

from vitmem.reports.drawing import write_figures
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.rows import write_rows

Row = dict[str, Any]
AFTER = {"method": "kfac", "importance": "kfac", "side": "both", "fraction": 0.002}
RELEARN = {"method": "relearn", "blocks": "last", "after": AFTER, "steps": 30, "train_on": "given"}
STATISTICS = {"labels": "sampled", "label_samples": 1}
# what is done -> memorized by given class of seed 0, of seed 1, and validation
MADE: list[tuple[dict[str, Any], list[dict[int, float]], float]] = [
    ({"method": "none"}, [{0: 1.0, 1: 1.0, 2: 1.0}] * 2, 0.5),
    ({**AFTER, "blocks": "last"}, [{0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.3, 1: 0.2, 2: 0.1}], 0.5),
    ({**RELEARN, "classes": [0]}, [{0: 0.5, 1: 0.2, 2: 0.4}, {0: 0.9, 1: 0.4, 2: 0.3}], 0.4),
    ({**RELEARN, "classes": [1]}, [{0: 0.1, 1: 0.4, 2: 0.3}, {0: 0.3, 1: 0.4, 2: 0.3}], 0.6),
    ({**RELEARN}, [{0: 0.4, 1: 0.4, 2: 0.4}, {0: 0.4, 1: 0.4, 2: 0.4}], 0.5),
    ({**RELEARN, "train_on": "right"}, [{0: 0.1, 1: 0.1, 2: 0.1}, {0: 0.2, 1: 0.2, 2: 0.2}], 0.5),
]


@pytest.fixture
def rows(make_row: Callable[..., Row]) -> list[Row]:
    found = []
    for edit, by_class, validation in MADE:
        for seed, values in enumerate(by_class):
            row = make_row(seed, edit, report=(0.5, validation), selection=(0.5, 0.5))
            row["id"] += str(edit)
            row["metrics"] |= {f"memorized_class_{k}": v for k, v in values.items()}
            row["selection"] |= {f"memorized_class_{k}": v / 2 for k, v in values.items()}
            if edit["method"] != "none":
                row["config"]["statistics"] = STATISTICS
            if edit["method"] == "relearn":
                row["edit"]["probe"] = True
            found.append(row)
    return found


def table(rows: list[Row]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["put_back.csv"])))


def test_own_classes_and_others_by_hand(rows: list[Row]) -> None:
    found = {(r["put_back"], r["measured"]): r for r in table(rows)}
    assert list(found) == [
        ("one class", "the same"), ("one class", "the others"), ("all classes", "all classes"), ("none", "all classes"),
    ]  # fmt: skip
    same, others = found["one class", "the same"], found["one class", "the others"]
    assert (same["after"], same["setting"], same["steps"], same["cells"], same["seeds"]) == (
        "K-FAC", "fraction 0.002", "30", "2", "2",
    )  # fmt: skip
    # seed 0: class 0 from .1 to .5, class 1 from .2 to .4; seed 1: .3 to .9, .2 to .4
    assert float(same["before"]) == pytest.approx((0.15 + 0.25) / 2)
    assert float(same["change"]) == pytest.approx((0.3 + 0.4) / 2)
    # seed 0: (.2, .3) to (.2, .4), (.1, .3) as they were; seed 1: (.2, .1) to (.4, .3), (.3, .1) to (.3, .3)
    assert float(others["change"]) == pytest.approx((0.025 + 0.15) / 2)
    assert float(others["memorized"]) == pytest.approx(((0.3 + 0.2) / 2 + (0.35 + 0.3) / 2) / 2)
    assert float(same["validation_change"]) == float(others["validation_change"]) == pytest.approx(0)
    assert float(found["all classes", "all classes"]["change"]) == pytest.approx(0.2)
    # the selection half has half of everything
    assert float(same["known_before"]) == pytest.approx(0.1) and float(same["known"]) == pytest.approx(0.275)
    assert float(same["known_change"]) == pytest.approx(0.175)
    assert float(others["known_change"]) == pytest.approx((0.025 + 0.15) / 4)
    assert float(found["none", "all classes"]["change"]) == pytest.approx((-0.1 + 0.0) / 2)


def test_several_classes_in_a_cell_are_called_some(rows: list[Row]) -> None:
    for row in rows:
        if row["config"]["edit"].get("classes") == [1]:
            row["config"]["edit"] = {**row["config"]["edit"], "classes": [1, 2]}
    same, others = table(rows)[:2]
    assert same["put_back"] == "some classes"
    # seed 0: .4; (.2, .3) to (.4, .3) -> .1; seed 1: .6; (.2, .1) to (.4, .3) -> .2
    assert float(same["change"]) == pytest.approx(((0.4 + 0.1) / 2 + (0.6 + 0.2) / 2) / 2)
    assert float(others["change"]) == pytest.approx(((0.05 + 0) / 2 + (0.2 + 0) / 2) / 2)


def test_they_are_no_curves_and_without_the_edit_alone_there_is_nothing(rows: list[Row]) -> None:
    (training,) = Report("toy", rows).trainings
    assert [[g.config["edit"].get("classes") for _, g in c.points] for c in curves(Report("toy", rows), training)] == [
        [None, None], [None, None],
    ]  # fmt: skip
    without = [row for row in rows if row["config"]["edit"]["method"] != "kfac"]
    assert "put_back.csv" not in render_tables(Report("toy", without))
    whole = [row for row in rows if "classes" not in row["config"]["edit"]]
    assert "put_back.csv" not in render_tables(Report("toy", whole))


def test_a_suite_that_puts_back_single_classes_alone_has_no_curves_to_draw(rows: list[Row], tmp_path: Path) -> None:
    some = [r for r in rows if r["config"]["edit"]["method"] != "relearn" or "classes" in r["config"]["edit"]]
    assert "relearning.csv" not in render_tables(Report("toy", some)) and len(table(some)) == 2
    write_rows(tmp_path / "toy" / "rows.jsonl", some)
    assert {path.name for path in write_figures(tmp_path)} == {"tradeoff.svg", "tradeoff.png"}


def test_what_differs_is_said_and_steps_are_in_order(rows: list[Row]) -> None:
    more = list(rows)
    for changes in ({"steps": 100}, {"steps": 3}, {"lr": 0.5}):
        for row in (r for r in rows if r["config"]["edit"]["method"] == "relearn"):
            edit = {"lr": 0.1, **row["config"]["edit"], **changes}
            more.append({**row, "id": row["id"] + str(changes), "config": {**row["config"], "edit": edit}})
    for row in (r for r in rows if r["config"]["edit"]["method"] == "relearn"):
        row["config"]["edit"] = {"lr": 0.1, **row["config"]["edit"]}
    found = [(r["after"], r["steps"]) for r in table(more) if r["measured"] == "the same"]
    assert found == [("K-FAC, lr 0.1", "3"), ("K-FAC, lr 0.1", "30"), ("K-FAC, lr 0.1", "100"), ("K-FAC, lr 0.5", "30")]


def test_rows_without_memorized_by_class_are_left_out(rows: list[Row]) -> None:
    for row in rows:
        if row["config"]["edit"].get("classes") == [1]:
            row["metrics"] = {k: v for k, v in row["metrics"].items() if not k.startswith("memorized_class")}
    assert [r["cells"] for r in table(rows)[:2]] == ["1", "1"]
    for row in rows:
        if row["config"]["edit"]["method"] == "kfac":
            row["metrics"] = {k: v for k, v in row["metrics"].items() if not k.startswith("memorized_class")}
    assert "put_back.csv" not in render_tables(Report("toy", rows))
    for row in rows:
        row["metrics"] = {k: v for k, v in row["metrics"].items() if not k.startswith("memorized_class")}
    assert "put_back.csv" not in render_tables(Report("toy", rows))

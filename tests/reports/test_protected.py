"""What becomes of a class that the statistics have not seen, from rows computed by hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from vitmem.reports.files import render_tables
from vitmem.reports.naming import edit_label
from vitmem.reports.report import Report

Row = dict[str, Any]
PLAIN = {"labels": "sampled", "label_samples": 1}
INPUT = {"method": "kfac_input", "blocks": "all", "fraction": 0.1}


def keep(classes: list[int]) -> dict[str, Any]:
    second = {**PLAIN, "classes": classes}
    return {**INPUT, "method": "protect", "rule": "span", "side": "A", "second": second}


# edit, the classes that its statistics were collected without -> validation by class of seed 0 and of seed 1
MADE: list[tuple[dict[str, Any], list[int] | None, list[list[float]]]] = [
    ({"method": "none"}, None, [[0.9, 0.8, 0.7], [0.7, 0.8, 0.9]]),
    (INPUT, [], [[0.8, 0.8, 0.8], [0.6, 0.8, 1.0]]),
    (INPUT, [0], [[0.1, 0.9, 0.7], [0.3, 0.9, 0.9]]),
    (INPUT, [1], [[0.9, 0.2, 0.7], [0.7, 0.4, 0.9]]),
    (keep([0]), [0], [[0.8, 0.8, 0.6], [0.6, 0.8, 0.8]]),
    (keep([1]), [1], [[0.8, 0.6, 0.6], [0.6, 0.8, 0.8]]),
]


@pytest.fixture
def rows(make_row: Callable[..., Row]) -> list[Row]:
    found = []
    for edit, left_out, by_class in MADE:
        for seed, values in enumerate(by_class):
            row = make_row(seed, edit, report=(0.1 * (seed + 1), 0.5), selection=(0.5, 0.5))
            row["id"] += str(left_out)
            row["metrics"] |= {f"validation_class_{k}": v for k, v in enumerate(values)}
            if left_out is not None:
                row["config"]["statistics"] = {**PLAIN, **({"without": left_out} if left_out else {})}
            found.append(row)
    return found


def table(rows: list[Row]) -> dict[tuple[str, str], dict[str, str]]:
    lines = list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["protected.csv"])))
    return {(line["method"], line["statistics"]): line for line in lines}


def test_classes_and_others_by_hand(rows: list[Row]) -> None:
    found = table(rows)
    whole, bare = "of all classes", "without the class"
    assert list(found) == [("K-FAC, input side", whole), ("K-FAC, input side", bare), ("protect span", bare)]
    assert {(line["classes"], line["seeds"], line["setting"]) for line in found.values()} == {
        ("2", "2", "all, fraction 0.1")
    }
    value = lambda key, column: float(found[key][column])  # noqa: E731
    # class 0 without it .1 and .3, class 1 without it .2 and .4; of the base .9 and .7, .8 and .8
    assert value(("K-FAC, input side", bare), "class") == pytest.approx((0.1 + 0.2 + 0.3 + 0.4) / 4)
    assert value(("K-FAC, input side", bare), "class_minus_base") == pytest.approx((0.3 + 0.7 - 1.7 - 1.5) / 4)
    # of all classes, measured on class 0 and on class 1
    assert value(("K-FAC, input side", whole), "class") == pytest.approx((0.8 + 0.8 + 0.6 + 0.8) / 4)
    assert value(("protect span", bare), "class") == pytest.approx((0.8 + 0.6 + 0.6 + 0.8) / 4)
    # the others of class 0: (.8, .6) and (.8, .8); of class 1: (.8, .6) and (.6, .8)
    assert value(("protect span", bare), "others") == pytest.approx((0.7 + 0.8 + 0.7 + 0.7) / 4)
    assert value(("protect span", bare), "memorized") == pytest.approx(0.15)


def test_other_suites_have_no_such_table(rows: list[Row]) -> None:
    kept = [row for row in rows if "without" not in row["config"].get("statistics", {})]
    assert "protected.csv" not in render_tables(Report("toy", kept))


def test_the_second_set_is_told_in_a_line_without_what_goes_without_saying() -> None:
    assert edit_label(keep([3])) == "protect all 0.1 second (classes 3)"
    assert edit_label({**keep([3]), "rule": "mixture"}) == "protect all 0.1 mixture second (classes 3)"

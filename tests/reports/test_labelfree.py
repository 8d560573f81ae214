"""Rules without labels on evidence where the right choice is known, and their regrets by hand."""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from vitmem.reports.evidence import Evidence, evidence, given_train, kept_energy
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.reports.rules import RULES
from vitmem.reports.tables.labelfree import oracle

Row = dict[str, Any]
PICK = {rule.name: rule.pick for rule in RULES}
BASE = Evidence(agreement=1.0, given_train=0.98, confidence=0.9, loss_upper_share=0.1, backed=0.01)


def settings(**columns: list[float]) -> list[Evidence]:
    """Evidence on several settings, by measure."""
    return [Evidence(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize(
    ("rule", "columns", "expected"),
    [
        ("agreement", {"agreement": [0.99, 0.95, 0.949], "given_train": [0.95, 0.9, 0.5]}, 1),
        ("agreement", {"agreement": [0.9, 0.8], "given_train": [0.9, 0.7]}, None),
        # lost .06, .48, .6 of .6 and changed .1, .3, .8 of .8: .1 - .125, .8 - .375, 1 - 1
        ("knee", {"agreement": [0.9, 0.7, 0.2], "given_train": [0.92, 0.5, 0.38]}, 1),
        ("knee", {"agreement": [0.9, 0.2], "given_train": [0.97, 0.38]}, None),
        ("spectrum", {"kept_energy": [0.5, 0.8, 0.9], "kept_share": [0.1, 0.2, 0.6]}, 1),
        ("spectrum", {"kept_energy": [0.3], "kept_share": [0.3]}, None),
        ("claims", {"agreement": [0.9, 0.7, 0.3], "given_train": [0.9, 0.7, 0.2], "confidence": [0.8, 0.6, 0.4]}, 1),
        ("judge", {"given_train": [0.9, 0.7, 0.5], "judged_change": [0.01, -0.02, -0.03]}, 1),
        ("consistency", {"given_train": [0.95, 0.8, 0.7], "confidence": [0.85, 0.8, 0.75]}, 1),
        ("consistency", {"given_train": [0.95], "confidence": [0.85]}, None),
        # a tenth of the labels is wrong by the base's losses: at most .1 of .98 may go
        ("mixture", {"given_train": [0.95, 0.9, 0.87]}, 1),
        ("separation", {"loss_rise_separation": [1.0, 2.5, 2.0]}, 1),
        ("neighbours", {"backed": [0.02, 0.08, -0.1]}, 1),
        ("neighbours", {"backed": [0.0, -0.1]}, None),
    ],
)
def test_rules(rule: str, columns: dict[str, list[float]], expected: int | None) -> None:
    assert PICK[rule](BASE, settings(**columns)) == expected


def test_settings_that_lack_a_measure_do_not_take_part() -> None:
    known = settings(agreement=[0.99, 0.96], given_train=[0.95, 0.9])
    assert PICK["agreement"](BASE, [Evidence(agreement=0.97), *known]) == 2
    rules = {rule.name for rule in RULES if rule.applies(Evidence(given_train=0.98), known)}
    assert rules == {"agreement", "knee"}


@pytest.fixture
def measured(toy: list[Row]) -> list[Row]:
    """The toy rows with everything that is measured without labels, and every count of images."""
    agreed = {0.01: 0.97, 0.002: 0.96, 0.1: 0.9, 0.5: 0.8}
    for row in toy:
        edit = row["config"]["edit"]
        strength = edit.get("fraction", edit.get("rank_fraction"))
        same = 0.5 if edit.get("blocks") == "all" and strength == 0.002 else agreed.get(strength, 1.0)
        own = {"agreement": same, "given_train": same - 0.02, "held_out_confidence": same - 0.3}
        own |= {"judged_change": (same - 1) / 2, "loss_upper_share": 0.05, "loss_rise_separation": 3 * same}
        row["selection"] |= {**own, "knn_backed": 0.1 * same, "knn_unbacked": 0.1}
        row["edit"]["layers"] = {"fc1": {"kept_energy": same, "weight_norm": 2.0}}
    return toy


def test_no_rule_reads_what_needs_truth(measured: list[Row]) -> None:
    bare = copy.deepcopy(measured)
    free = {"agreement", "given_train", "held_out_confidence", "judged_change", "loss_upper_share"}
    free |= {"loss_rise_separation", "knn_backed", "knn_unbacked"}
    for row in bare:
        for key in ("metrics", "counts", "noise"):
            del row[key]
        row["selection"] = {name: value for name, value in row["selection"].items() if name in free}
    before, after = ([evidence(row) for row in rows] for rows in (measured, bare))
    assert before == after
    for rule in RULES:
        assert rule.applies(after[0], after[2:])
        assert rule.pick(after[0], after[2:]) == rule.pick(before[0], before[2:])


def test_older_rows_tell_the_sum_of_given_labels_and_no_more() -> None:
    counts = {"train": 1000, "noisy": 100, "noisy_report": 60, "noisy_selection": 40}
    row = {"counts": counts, "metrics": {"memorized": 0.5}, "selection": {"memorized": 0.25, "clean_train": 0.9}}
    assert given_train(row) == (810 + 30 + 10) / 1000
    # nine more of the wrong labels and nine fewer of the right ones: the same to whoever cannot tell them apart
    other = {"counts": counts, "metrics": {"memorized": 39 / 60}, "selection": {"memorized": 0.25, "clean_train": 0.89}}
    assert evidence(other) == evidence(row)
    assert given_train({**row, "metrics": {}}) is None
    assert given_train({"selection": {"clean_train": 0.9}}) is None
    clean = {"counts": {"train": 10, "noisy": 0}, "metrics": {}, "selection": {"clean_train": 0.9}}
    assert given_train(clean) == 0.9


def test_kept_energy_weighs_matrices_by_their_norm() -> None:
    layers = {"a": {"kept_energy": 0.5, "weight_norm": 1.0}, "b": {"kept_energy": 1.0, "weight_norm": 2.0}}
    assert kept_energy({"edit": {"layers": layers}}) == pytest.approx((0.5 + 4) / 5)
    assert kept_energy({"edit": {"layers": {}}}) is None


def test_the_oracle_sees_truth_on_the_selection_half_alone(make_row: Callable[..., Row]) -> None:
    # recovered is .9 - memorized on each half
    near = make_row(0, {"method": "a"}, report=(0.6, 0.1), selection=(0.3, 0.5))
    best_on_report = make_row(0, {"method": "b"}, report=(0.0, 0.9), selection=(0.5, 0.6))
    too_strong = make_row(0, {"method": "c"}, report=(0.2, 0.9), selection=(0.1, 0.49))
    own = make_row(0, {"method": "d"}, report=(0.7, 0.5), selection=(0.7, 0.5))
    assert oracle(own, [own, near, best_on_report, too_strong]) is near
    assert oracle(best_on_report, [own, near, best_on_report, too_strong]) is best_on_report


def test_table(measured: list[Row]) -> None:
    text = render_tables(Report("toy", measured))["labelfree.csv"]
    rows = {(r["method"], r["rule"]): r for r in csv.DictReader(io.StringIO(text))}
    # .95 allows both strengths of the last block; fewer given labels are left at .002, the setting of 'chosen' too
    kfac = rows["K-FAC", "agreement"]
    assert kfac["setting"] == "last, fraction 0.002" and kfac["regret_to_chosen"] == kfac["regret"] == "0"
    assert kfac["recovered"] == "0.55" and kfac["validation_minus_chosen"] == "0"
    # SVD agrees on .9: unedited, recovered .1 and 0. At the base's validation on the selection half, .5, SVD has more
    svd = rows["SVD", "agreement"]
    assert svd["setting"] == "unedited" and svd["recovered"] == "0.05"
    # recovered of SVD is .3 and .1 on the report halves, its validation .5 and .5 against .5 and .54
    assert svd["regret"] == svd["regret_to_chosen"] == "0.15"
    assert svd["validation_of_oracle_minus_rule"] == "-0.02" and svd["validation_minus_chosen"] == "0.02"
    assert rows["random basis", "agreement"]["regret_to_chosen"] == ""
    # K-FAC by lot: recovered (.4 + .6 + .8) / 3 and (.3 + .5 + .8) / 3
    assert rows["K-FAC", "any setting"]["recovered"] == "0.566667"
    # over K-FAC, SVD and the random basis (unedited, nothing better): (0 + .2 + 0) / 3 and (0 + .1 + 0) / 3
    every = rows["all", "agreement"]
    assert (every["cases"], every["cases_near"], every["cases_near_chosen"]) == ("3", "2", "1")
    assert every["regret"] == "0.05" and every["seeds"] == "2"


def test_each_network_has_a_choice_of_its_own(measured: list[Row]) -> None:
    for row in measured:
        if row["config"]["seed"] == 1 and row["config"]["edit"].get("fraction") == 0.002:
            row["selection"]["agreement"] = 0.9
    rows = csv.DictReader(io.StringIO(render_tables(Report("toy", measured))["labelfree.csv"]))
    found = {(r["method"], r["rule"]): r["setting"] for r in rows}
    assert found["K-FAC", "agreement"] == "last, fraction 0.002 (1); last, fraction 0.01 (1)"


def test_no_table_without_wrong_labels(measured: list[Row]) -> None:
    for row in measured:
        del row["metrics"]["recovered"], row["selection"]["recovered"]
    assert "labelfree.md" not in render_tables(Report("toy", measured))

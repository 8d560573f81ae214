"""The choice is made on the selection halves, over the seeds, by the stated rule."""

from __future__ import annotations

from typing import Any

import pytest

from vitmem.reports.aggregate import Group, Training, by_training, group_rows
from vitmem.reports.choose import by_method, choose
from vitmem.reports.naming import Names, setting

Row = dict[str, Any]


def of(rows: list[Row], method: str) -> tuple[Training, list[Group]]:
    (training,) = by_training(group_rows(rows))
    return training, [g for g in training.edits if g.method == method]


def changed(rows: list[Row], **parts: list[dict[str, Any]]) -> list[Row]:
    """Copies of the six K-FAC rows with one part of each config replaced."""
    kfac = [r for r in rows if r["config"]["edit"]["method"] == "kfac"]
    configs = [{**r["config"], **{k: v[i] for k, v in parts.items()}} for i, r in enumerate(kfac)]
    return [{**r, "id": r["id"] + "x", "config": c} for r, c in zip(kfac, configs, strict=True)]


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (0.02, "last, fraction 0.002"),
        (0.01, "last, fraction 0.01"),
        (0.2, "all, fraction 0.002"),
        (0.0, None),
    ],
)
def test_largest_fall_within_the_loss(toy: list[Row], drop: float, expected: str | None) -> None:
    training, groups = of(toy, "kfac")
    assert training.base is not None
    choice = choose(groups, training.base, drop)
    assert (setting(choice.group) if choice.group else None) == expected
    assert (choice.why == "no setting loses nothing") == (expected is None)


def test_none_qualifies(toy: list[Row]) -> None:
    training, groups = of(toy, "random_basis")
    assert training.base is not None
    choice = choose(groups, training.base)
    assert choice.group is None and choice.why == "no setting loses at most 2 points"


def test_settings_with_fewer_seeds_do_not_win_by_luck(toy: list[Row]) -> None:
    # Without seed 1, the setting that was chosen (loss .01 on seed 0, fall .5) would look better still.
    rows = [r for r in toy if r["id"] != "1-kfac-kfac-both-last-0.002"]
    assert len(rows) == len(toy) - 1
    training, groups = of(rows, "kfac")
    assert training.base is not None
    choice = choose(groups, training.base)
    assert choice.group is not None and setting(choice.group) == "last, fraction 0.01"


def test_without_wrong_labels(toy: list[Row]) -> None:
    for row in toy:
        del row["selection"]["memorized"]
    training, groups = of(toy, "kfac")
    assert training.base is not None
    assert choose(groups, training.base).why == "no finished cell with anything to memorize"


def test_variants_are_methods_of_their_own(toy: list[Row]) -> None:
    edits = [r["config"]["edit"] for r in toy if r["config"]["edit"]["method"] == "kfac"]
    coupled = changed(toy, edit=[{**e, "importance": "ckfac"} for e in edits])
    (training,) = by_training(group_rows([*toy, *coupled]))
    methods = by_method(training.edits)
    names = Names.of([training])
    shown = sorted((groups[0] for groups in methods.values()), key=names.method_order)
    assert [names.method(g) for g in shown] == ["K-FAC", "K-FAC importance=ckfac", "SVD", "random basis"]


def test_statistics_are_named_where_they_differ(toy: list[Row]) -> None:
    given = changed(toy, statistics=[{"labels": "given", "label_samples": 1}] * 6)
    (training,) = by_training(group_rows([*toy, *given]))
    names = Names.of([training])
    assert {names.method(g) for g in training.edits} == {
        "K-FAC", "K-FAC labels=given", "SVD", "random basis",
    }  # fmt: skip

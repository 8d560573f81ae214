"""Noise from a matrix, from human labels and from a column: orientation, shares, and files that are no matrix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from vitmem.errors import InputError
from vitmem.noise.base import NoisyLabels, transition_matrix
from vitmem.registry import NOISES

Draw = Callable[..., NoisyLabels]
# class 0 is often given as 2, but 2 never as 0
ONE_WAY = [[0.6, 0.0, 0.4], [0.0, 1.0, 0.0], [0.0, 0.3, 0.7]]


def test_rows_are_true_classes(draw: Draw) -> None:
    clean = np.arange(30_000) % 3
    labels = draw("transition", clean, 3, matrix=ONE_WAY)
    assert labels.nominal is None
    for c in range(3):
        seen, row = np.bincount(labels.given[clean == c], minlength=3), np.array(ONE_WAY[c])
        assert (seen[row == 0] == 0).all()
        np.testing.assert_allclose(seen / 10_000, row, atol=4 * 0.5 / 100)  # four standard deviations at most


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", json.dumps(ONE_WAY)),
        ("t.csv", "# true class by row\n0.6,0,0.4\n0,1,0\n0,0.3,0.7\n"),
        ("t.txt", "0.6 0 0.4\n0 1 0\n0 .3 .7"),
    ],
)
def test_the_file_gives_what_the_rows_give(draw: Draw, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    clean = np.arange(300) % 3
    rows = draw("transition", clean, 3, matrix=ONE_WAY)
    inside = draw("transition", clean, 3, context={"data_dir": tmp_path}, file=name)
    anywhere = draw("transition", clean, 3, file=str(tmp_path / name))
    assert inside.sha256 == anywhere.sha256 == rows.sha256


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.json", "[[1, 0], [0", "expected a matrix as JSON, got invalid JSON (Expecting"),
        ("t.json", '{"a": 1}', "expected rows of 3 numbers each"),
        ("t.json", "[[1, 0, 0], [0, 1], [0, 0, 1]]", "expected rows of 3 numbers each"),
        ("t.csv", "1,0,x\n0,1,0\n0,0,1", "expected a matrix as JSON, CSV or text with spaces, got could not convert"),
        ("t.csv", "1,0\n0,1", "expected 3 x 3 numbers, one row per true class, got 2 x 2"),
        ("t.csv", "0.6,0,0.3\n0,1,0\n0,0,1", "expected rows that sum to 1, got 0.9 in row 0"),
        ("t.csv", "0.6,0,0\n0,1,0.3\n0.4,0,0.7", "its columns do, so transpose it"),
        ("t.csv", "1.5,-0.5,0\n0,1,0\n0,0,1", "expected probabilities, got -0.5 in row 0, column 1"),
        ("t.csv", "nan,0,0\n0,1,0\n0,0,1", "expected probabilities, got nan in row 0, column 0"),
        ("t.csv", "", "got an empty file"),
        (
            "t.json",
            "[[" + "1" * 400 + "]]",
            "expected rows of 3 numbers each, got rows of unequal length or no numbers",
        ),
        ("t.json", '[["a", 0, 0], [0, 1, 0], [0, 0, 1]]', "got rows of unequal length or no numbers"),
        ("t.json", "[" * 100_000, "expected a matrix as JSON, got lists nested too deeply"),
    ],
)
def test_a_file_that_is_no_matrix(draw: Draw, tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        draw("transition", [0, 1, 2], 3, file=str(tmp_path / name))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_no_matrix_two_of_them_or_no_file(draw: Draw) -> None:
    for params in ({}, {"matrix": ONE_WAY, "file": "t.csv"}):
        with pytest.raises(InputError, match="give exactly one of 'matrix' and 'file'"):
            NOISES.get("transition").parse(params, "noise")
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        draw("transition", [0, 1, 2], 3, file="nowhere.csv")


def test_a_row_of_rounded_numbers_gives_every_class(draw: Draw) -> None:
    labels = draw("transition", np.zeros(5000, dtype=int), 3, matrix=[[0.3333] * 3, [0, 1, 0], [0, 0, 1]])
    assert chisquare(np.bincount(labels.given)).pvalue > 1e-4


HUMAN = np.tile([0, 0, 0, 2, 1, 1, 1, 1, 2, 2, 1, 1], 1000)
TRUE = np.tile([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 1000)


def test_the_twin_has_the_human_matrix_and_other_images(draw: Draw) -> None:
    context = {"extra_labels": {"worse_label": HUMAN}}
    labels = draw("human_twin", TRUE, 3, context=context, column="worse_label")
    expected = transition_matrix(TRUE, HUMAN, 3)
    np.testing.assert_allclose(labels.transition, expected, atol=0.03)  # four standard deviations at 4,000 images
    np.testing.assert_array_equal(labels.transition == 0, expected == 0)
    wrong = HUMAN != TRUE
    # whether people err on an image says nothing of whether the twin does: within class 2, half of each
    assert labels.changed[wrong & (TRUE == 2)].mean() == pytest.approx(0.5, abs=0.05)


def test_the_mixture_has_a_part_of_the_human_errors(draw: Draw) -> None:
    context = {"extra_labels": {"worse_label": HUMAN}}
    labels = draw("human_mixture", TRUE, 3, context=context, column="worse_label", rate=0.1)
    assert labels.changed.sum() == 1200
    np.testing.assert_array_equal(labels.given[labels.changed], HUMAN[labels.changed])
    with pytest.raises(
        InputError, match=r"at most 0\.2500, the share of wrong labels in column 'worse_label', got 0.3"
    ):
        draw("human_mixture", TRUE, 3, context=context, column="worse_label", rate=0.3)


@pytest.mark.parametrize("name", ["human", "human_twin", "human_mixture"])
def test_human_labels_that_are_not_there(draw: Draw, name: str) -> None:
    rate = {"rate": 0.1} if name == "human_mixture" else {}
    with pytest.raises(InputError, match=f"noise '{name}': data set 'digits' came without human labels"):
        draw(name, TRUE, 3, dataset="digits", column="worse_label", **rate)
    context = {"extra_labels": {"worse_label": HUMAN - 1}}
    with pytest.raises(InputError, match="expected classes 0 to 2, got 3000 of 12000 labels outside"):
        draw(name, TRUE, 3, context=context, column="worse_label", **rate)


def test_labels_of_a_column(draw: Draw) -> None:
    context = {"extra_labels": {"noisy_25": HUMAN}}
    labels = draw("column", TRUE, 3, context=context, column="noisy_25")
    np.testing.assert_array_equal(labels.given, HUMAN)
    assert labels.realised == 0.25
    with pytest.raises(InputError, match="unknown column of data set 'x' 'noisy_52'; did you mean 'noisy_25'"):
        draw("column", TRUE, 3, context=context, column="noisy_52")
    with pytest.raises(InputError, match="known: none"):
        draw("column", TRUE, 3, column="noisy_25")


FROZEN = {"transition": "98c76a0b9daba065", "human_twin": "725d678a9fbf92ad", "human_mixture": "28831e4dbda2dc74"}


@pytest.mark.parametrize("name", FROZEN)
def test_labels_are_those_they_have_always_been(draw: Draw, name: str) -> None:
    params = {"matrix": ONE_WAY} if name == "transition" else {"column": "worse_label"}
    params |= {"rate": 0.1} if name == "human_mixture" else {}
    context = {"extra_labels": {"worse_label": HUMAN}}
    labels = draw(name, TRUE, 3, 7, context=context, **params)
    assert labels.sha256[:16] == FROZEN[name]
    assert draw(name, TRUE, 3, 8, context=context, **params).sha256 != labels.sha256

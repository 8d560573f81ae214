"""Tables from rows computed by hand; the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from vitmem.errors import InputError
from vitmem.reports.files import check_tables, render_tables, write_tables
from vitmem.reports.glossary import glossary
from vitmem.reports.notes import describe
from vitmem.reports.report import Report
from vitmem.rows import write_rows

Row = dict[str, Any]
CHOSEN = """\
**toy: mnist5k, 4,000 training images, noise symmetric 0.1 (realised 10.00 %).**

| model | method | setting | seeds | memorized | recovered | other | clean train | validation \
| kept pairs % | kept mass % | ‖ΔW‖/‖W‖ | seconds |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| vit | base |  | 2 | 85.0 (n=2: 80.0, 90.0) | 5.0 (n=2: 0.0, 10.0) | 10.0 (n=2: 10.0, 10.0) | 95.0 (n=2: 95.0, 95.0) \
| 52.0 (n=2: 50.0, 54.0) | – | – | – | – |
| vit | K-FAC | last, fraction 0.002 | 2 | 35.0 (n=2: 30.0, 40.0) | 55.0 (n=2: 50.0, 60.0) | 10.0 (n=2: 10.0, 10.0) \
| 95.0 (n=2: 95.0, 95.0) | 49.0 (n=2: 47.0, 51.0) | 0.5 | 75 | 0.500 | 3.0 |
| vit | SVD | all, rank_fraction 0.1 | 2 | 70.0 (n=2: 60.0, 80.0) | 20.0 (n=2: 10.0, 30.0) | 10.0 (n=2: 10.0, 10.0) \
| 95.0 (n=2: 95.0, 95.0) | 50.0 (n=2: 50.0, 50.0) | 0.5 | 75 | 0.500 | 3.0 |
| vit | random basis | no setting loses at most 2 points | – | – | – | – | – | – | – | – | – | – |

- vit: with the accuracy of its base, a model that never saw the wrongly labelled images has memorized 5.0, \
recovered 52.0
"""


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_chosen(toy: list[Row]) -> None:
    text = render_tables(Report("toy", toy))["chosen.md"]
    assert text.startswith(CHOSEN)
    assert "- 2 seeds (0, 1); 12 cells: 12 finished, 0 failed\n" in text
    assert "- 12 cells on cpu (Toy CPU, 2 threads); python 3.12.1, torch 2.9.0, vitmem 0.1.0\n" in text
    assert text.endswith("(../../glossary.md#chosen)\n") and "\n## chosen\n" in glossary()
    assert "nothing to remove" not in text


def test_csv_has_raw_fractions(toy: list[Row]) -> None:
    base, kfac, *_ = cells(render_tables(Report("toy", toy))["chosen.csv"])
    assert (base["memorized"], base["memorized_interval"], base["kept_pairs"]) == ("0.85", "", "")
    assert kfac["setting"] == "last, fraction 0.002"
    assert (kfac["memorized"], kfac["kept_pairs"]) == ("0.35", "0.005")


def test_matched(toy: list[Row]) -> None:
    rows = cells(render_tables(Report("toy", toy))["matched.csv"])
    found = {(r["allowed_drop"], r["method"]): r for r in rows}
    assert [r["allowed_drop"] for r in rows] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    assert found["0", "K-FAC"]["setting"] == "no setting loses nothing"
    assert found["0", "SVD"]["memorized_minus_kfac"] == ""
    assert found["1", "K-FAC"]["setting"] == "last, fraction 0.01"
    # SVD minus K-FAC by seed: .6 - .5 and .8 - .6, mean .15
    assert found["1", "SVD"]["memorized_minus_kfac"] == "0.15"
    # validation of SVD minus base: 0 and -.04
    assert found["2", "SVD"]["validation_minus_base"] == "-0.02"
    assert found["2", "K-FAC"]["memorized_minus_kfac"] == found["2", "K-FAC"]["validation_minus_kfac"] == ""
    assert found["2", "SVD"]["validation_minus_kfac"] != ""
    assert "| vit | 1 | SVD | all, rank_fraction 0.1 | 2 |" in render_tables(Report("toy", toy))["matched.md"]
    assert "| +15.0 (n=2: +10.0, +20.0) |" in render_tables(Report("toy", toy))["matched.md"]


def test_sweep_has_every_cell(toy: list[Row]) -> None:
    rows = cells(render_tables(Report("toy", toy))["sweep.csv"])
    assert [(r["method"], r["blocks"], r["strength"]) for r in rows] == [
        ("base", "", ""),
        ("K-FAC", "last", "fraction 0.002"),
        ("K-FAC", "last", "fraction 0.01"),
        ("K-FAC", "all", "fraction 0.002"),
        ("SVD", "all", "rank_fraction 0.1"),
        ("random basis", "last", "fraction 0.5"),
    ]
    assert rows[1]["selection_memorized"] == "0.35"


def test_latex(toy: list[Row]) -> None:
    text = render_tables(Report("toy", toy))["chosen.tex"]
    assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule") == 1
    assert "vit & SVD & all, rank\\_fraction 0.1 & 2 & 70.0 (n=2: 60.0, 80.0) &" in text
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert {line.replace("\\&", "").count("&") for line in rows} == {12}


def test_models_side_by_side(toy: list[Row], make_row: Callable[..., Row]) -> None:
    both, pool = {"report": (0.4, 0.5), "selection": (0.4, 0.5)}, {"pool": "mean"}
    weak = [
        make_row(0, {"method": "none"}, **both, model=pool),
        make_row(1, {"method": "none"}, **both, model=pool, status="failed"),
    ]
    text = render_tables(Report("toy", [*toy, *weak]))["chosen.md"]
    assert "| vit pool=mean | base |" in text and "| vit pool=token | base |" in text
    assert "vit pool=mean: nothing to remove: the base memorizes 40.0 % of what it was" in text
    assert "14 cells: 13 finished, 1 failed" in text
    alone = [r for r in toy if r["config"]["edit"]["method"] != "none"]
    assert "vit: no finished cell of the unedited model" in render_tables(Report("toy", alone))["sweep.md"]


def test_models_with_recipes_of_their_own_are_told_apart_by_name(toy: list[Row]) -> None:
    other = [
        {**r, "id": r["id"] + "x", "config": {**r["config"], "model": {"name": "mixer"}, "recipe": {"epochs": 9}}}
        for r in toy
    ]
    text = render_tables(Report("toy", [*toy, *other]))["chosen.md"]
    assert "| vit | base |" in text and "| mixer | base |" in text
    assert "- mixer: recipe epochs=9\n" in text and "- vit: recipe epochs=3 weight_decay=0.05\n" in text


def test_one_seed_has_intervals_over_images(toy: list[Row]) -> None:
    counts = {"train": 4000, "noisy_report": 200, "validation_report": 500}
    one = [{**r, "counts": counts} for r in toy if r["config"]["seed"] == 0]
    low, high = binomtest(100, 200).proportion_ci(method="wilson")
    other_low, other_high = binomtest(250, 500).proportion_ci(method="wilson")
    text = render_tables(Report("toy", one))["chosen.md"]
    assert f"at most ±{50 * (high - low):.1f} points for memorized and recovered" in text
    assert f"at most ±{50 * (other_high - other_low):.1f} points for validation" in text
    assert "Wilson" not in render_tables(Report("toy", [{**r, "counts": counts} for r in toy]))["chosen.md"]
    # without noise no label is wrong
    clean = render_tables(Report("toy", [{**r, "counts": {**counts, "noisy_report": 0}} for r in one]))["chosen.md"]
    assert "points for validation" in clean and "points for memorized" not in clean


def test_only_failed_rows(make_row: Callable[..., Row]) -> None:
    failed = make_row(0, {"method": "none"}, report=(0, 0), selection=(0, 0), status="failed")
    assert render_tables(Report("toy", [failed])) == {}


def test_same_bytes_whatever_the_order(toy: list[Row], tmp_path: Path) -> None:
    first = render_tables(Report("toy", toy))
    random.Random(0).shuffle(toy)
    assert render_tables(Report("toy", toy)) == first
    write_rows(tmp_path / "toy" / "rows.jsonl", toy)
    files = write_tables(tmp_path, "toy")
    assert {p.name: p.read_text() for p in files} == {k: v for k, v in first.items() if k.endswith(".md")} | {
        "glossary.md": glossary()
    }


def test_check(toy: list[Row], tmp_path: Path) -> None:
    write_rows(tmp_path / "toy" / "rows.jsonl", toy)
    assert len(check_tables(tmp_path)) == 10
    files = write_tables(tmp_path, "toy")
    assert check_tables(tmp_path, "toy") == [] and check_tables(tmp_path) == [tmp_path / "suites.md"]
    write_tables(tmp_path)
    assert check_tables(tmp_path) == []
    files[0].write_text("by hand")
    files[4].unlink()
    assert check_tables(tmp_path) == [files[0], files[4]]
    write_tables(tmp_path)
    (tmp_path / "toy" / "tables" / "old.md").write_text("| of no table |")
    assert check_tables(tmp_path) == [tmp_path / "toy" / "tables" / "old.md"]
    with pytest.raises(InputError, match="did you mean 'toy'"):
        write_tables(tmp_path, "toi")
    with pytest.raises(InputError, match="no suite has rows here"):
        write_tables(tmp_path / "none", "toy")


def test_loads_no_torch_no_matplotlib() -> None:
    heavy = "('torch', 'matplotlib')"
    code = f"import sys, vitmem.reports.files as f; f.TABLES.entries(); print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"name": "image_folder", "folder": "~/images/imagenette64", "size": 64}, "imagenette64"),
        ({"name": "hub", "path": "/images/birds"}, "birds"),
        ({"name": "hub", "path": "uoft-cs/cifar10", "split": "train"}, "uoft-cs/cifar10"),
    ],
)
def test_images_of_a_folder_or_the_hub_go_by_their_own_name(data: dict[str, Any], name: str) -> None:
    row = {"status": "ok", "config": {"data": data, "noise": {"name": "none"}}, "counts": {"train": 3000}}
    assert describe("toy", [row]) == f"toy: {name}, 3,000 training images."

"""Bases, importances and labels against K-FAC over several suites, on rows whose choices and means are known."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from vitmem.reports.studies.bases.factorial import Observed, observed
from vitmem.reports.studies.bases.figures import Bases as BasesFigure
from vitmem.reports.studies.bases.tables import Bases, has_bases, lines

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import by_training, group_rows
from vitmem.reports.drawing import write_figures
from vitmem.reports.files import check_tables, make_table, write_tables
from vitmem.reports.render import Table, comma_separated, markdown
from vitmem.rows import write_rows

Row = dict[str, Any]
KFAC = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last", "fraction": 0.1}
SVD = {"method": "svd", "blocks": "last", "rank_fraction": 0.1}
INPUT = {"method": "kfac_input", "blocks": "last", "fraction": 0.1}
SAMPLED = {"labels": "sampled", "label_samples": 1}
# memorized left on the report half by width of the network: K-FAC, SVD, the input side, K-FAC with the given labels
LEFT = {16: (0.4, 0.5, 0.3, 0.35), 32: (0.2, 0.5, 0.1, 0.25), 64: (0.6, 0.55, 0.6, 0.5)}


@pytest.fixture
def make(make_row: Callable[..., Row]) -> Callable[..., list[Row]]:
    def some(edit: dict[str, Any], width: int, left: float, loss: float = 0.0, **statistics: Any) -> list[Row]:
        """Two seeds: memorized ``left`` less and more a tenth on the report half, .1 on the selection half."""
        found = []
        for seed, shift in ((0, -0.1), (1, 0.1)):
            selection = (0.9 if edit["method"] == "none" else 0.1, 0.5 - loss)
            row = make_row(seed, edit, report=(left + shift, 0.5), selection=selection, model={"width": width})
            row["id"] += f"-{statistics}"
            row["counts"]["noisy_report"] = 100
            row["metrics"]["recovered"] = 0.0
            if edit["method"] in ("kfac", "kfac_input", "random_basis"):
                row["config"]["statistics"] = {**SAMPLED, **statistics}
            found.append(row)
        return found

    return some


@pytest.fixture
def rows(make: Callable[..., list[Row]]) -> list[Row]:
    found = []
    for width, (kfac, svd, inner, given) in LEFT.items():
        found += make({"method": "none"}, width, 0.8)
        found += make(KFAC, width, kfac)
        found += make(SVD, width, svd)
        found += make(INPUT, width, inner)
        found += make(KFAC, width, given, labels="given")
        found += make(KFAC, width, 0.1, temperature=3.0)  # other statistics are no part of the factorial
        found += make({**KFAC, "importance": "ekfac"}, width, 0.1, loss=0.1)  # never allowed: the base
    return found


def seen(suite: str, rows: list[Row]) -> list[Observed]:
    return observed(suite, by_training(group_rows(rows)))


def bases(found: list[Observed]) -> Table:
    table = make_table(Bases(), found)
    assert table is not None
    return table


def table(found: list[Observed]) -> dict[str, dict[str, str]]:
    return {line["variant"]: line for line in csv.DictReader(io.StringIO(comma_separated(bases(found))))}


def test_differences_over_trainings_by_hand(rows: list[Row]) -> None:
    found = table(seen("one", rows))
    assert list(found) == ["K-FAC", "K-FAC labels=given", "K-FAC, input side", "K-FAC importance=ekfac", "SVD"]
    kfac, svd, inner, given = np.array(list(LEFT.values())).T
    tests = []
    for name, left, better in (
        ("K-FAC labels=given", given, "2 of 3"),
        ("K-FAC, input side", inner, "2 of 3"),
        ("K-FAC importance=ekfac", np.full(3, 0.8), "0 of 3"),
        ("SVD", svd, "1 of 3"),
    ):
        line, test = found[name], ttest_1samp(left - kfac, 0)
        assert float(line["memorized_minus_kfac"]) == pytest.approx((left - kfac).mean(), abs=1e-6)
        low, high = test.confidence_interval()
        assert float(line["memorized_minus_kfac_interval"]) == pytest.approx((high - low) / 2, rel=1e-4)
        assert line["better_than_kfac"] == better and line["trainings"] == "3"
        assert float(line["p_kfac"]) == pytest.approx(test.pvalue, rel=0.05)
        tests.append((line, test.pvalue))
    ordered = sorted(tests, key=lambda one: one[1])
    corrected = np.maximum.accumulate([min(1.0, (4 - n) * p) for n, (_, p) in enumerate(ordered)])
    assert [float(line["holm_kfac"]) for line, _ in ordered] == pytest.approx(list(corrected), rel=0.05)
    assert found["K-FAC"]["memorized_minus_kfac"] == "" and found["K-FAC, input side"]["memorized_minus_input"] == ""
    assert float(found["K-FAC"]["memorized_minus_input"]) == pytest.approx((kfac - inner).mean(), abs=1e-6)
    assert found["K-FAC"]["better_than_input"] == "0 of 3"
    assert [found[name]["unedited"] for name in ("K-FAC", "K-FAC importance=ekfac")] == ["0", "3"]
    assert [found["SVD"][key] for key in ("output", "input", "labels")] == [
        "left singular vectors", "right singular vectors", ""
    ]  # fmt: skip


def test_a_training_of_two_suites_counts_once(rows: list[Row]) -> None:
    again = [row for row in rows if row["config"]["edit"]["method"] in ("none", "kfac", "svd")]
    for row in (again := [{**row, "metrics": dict(row["metrics"])} for row in again]):
        row["metrics"]["memorized"] += 0.05 if row["config"]["edit"]["method"] == "svd" else 0
    # of as many seeds, that of the suite with the input side; of more seeds, the other
    assert table([*seen("a", again), *seen("b", rows)]) == table(seen("b", rows))
    alone = [row for row in rows if row["config"]["seed"] == 0]
    both = table([*seen("a", again), *seen("b", alone)])
    assert float(both["SVD"]["memorized_minus_kfac"]) == pytest.approx(np.mean([0.1, 0.3, -0.05]) + 0.05, abs=1e-6)
    told = markdown(bases([*seen("a", again), *seen("b", alone)]))
    assert "trainings by suite, one of two suites in both: a 3, b 3" in told


def test_only_the_edit_kfac_input_is_the_input_side(rows: list[Row], make: Callable[..., list[Row]]) -> None:
    found = [row for row in rows if row["config"]["edit"]["method"] != "kfac_input"]
    found += make({**KFAC, "side": "A"}, 16, 0.1)
    lines = table(seen("one", found))
    assert lines["SVD"]["better_than_input"] == "" and lines["SVD"]["better_than_kfac"] == "1 of 3"
    assert "memorized - K-FAC, input side: on 0 trainings" in markdown(bases(seen("one", found)))


def test_layers_are_compared_with_themselves_and_averaged(rows: list[Row], make: Callable[..., list[Row]]) -> None:
    named = {"layers": ["fc2"]}
    more = [*rows, *make({**KFAC, **named}, 16, 0.1), *make({**SVD, **named}, 16, 0.7)]
    more += make({**SVD, "layers": ["fc1"]}, 16, 0.0)  # no K-FAC of these layers
    svd = next(one for one in seen("one", more) if one.name == "SVD" and '"width": 16' in one.training)
    assert svd.over_kfac == pytest.approx(((0.5 - 0.4) + (0.7 - 0.1)) / 2)


def test_which_suites_and_trainings_take_part(rows: list[Row]) -> None:
    assert seen("one", [row for row in rows if row["config"]["edit"]["method"] in ("none", "svd")]) == []
    plain = [row for row in rows if row["config"].get("statistics", SAMPLED) == SAMPLED]
    assert seen("one", [row for row in plain if row["config"]["edit"] in ({"method": "none"}, KFAC)]) == []
    for row in rows:
        if row["config"]["model"]["width"] == 64 and row["config"]["edit"]["method"] == "none":
            row["metrics"]["memorized"] -= 0.3
    assert [len(line.found) for line in lines(seen("one", rows)) if line.name == "SVD"] == [2]
    assert has_bases(seen("one", rows)) is False
    for row in rows:
        del row["counts"]["noisy_report"]
    assert seen("texts", rows) == []


def test_the_files_lie_beside_the_suites(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "toy" / "rows.jsonl", rows)
    own = write_tables(tmp_path, "toy")
    missing = [tmp_path / "bases.md", tmp_path / "suites.md"]
    assert check_tables(tmp_path) == missing and check_tables(tmp_path, "toy") == []
    assert [path for path in write_tables(tmp_path) if path not in own] == missing
    assert check_tables(tmp_path) == []
    for name in ("tradeoff", "methods"):
        monkeypatch.setattr(FIGURES.get(name), "draw", lambda *_: None)  # drawn by tests of their own
    assert [path.name for path in write_figures(tmp_path)][-2:] == ["bases.svg", "bases.png"]
    assert "bases.svg" not in [path.name for path in write_figures(tmp_path, "toy")]


def test_the_figure_has_the_best_variant_above(rows: list[Row]) -> None:
    figure = BasesFigure().draw(seen("one", rows))
    assert figure is not None
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == [
        "K-FAC, input side (3)",
        "K-FAC labels=given (3)",
        "K-FAC (3)",
        "SVD (3)",
        "K-FAC importance=ekfac (3)",
    ]
    assert left.get_xlabel() == "memorized - K-FAC (points)" and "input side" in right.get_xlabel()

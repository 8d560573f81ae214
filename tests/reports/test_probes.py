"""Tables and figure of probes from rows computed by hand; no method competes with a probe."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vitmem.reports.studies.relearning.figures import dial as dial_figure
from vitmem.reports.studies.relearning.figures import relearning as relearning_figure

from vitmem.reports.drawing import write_figures
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.rows import write_rows

Row = dict[str, Any]
KFAC = {"method": "kfac", "importance": "kfac", "side": "both"}
RELEARN = {"method": "relearn", "blocks": "last", "lr": 0.1, "batch_size": 8, "train_on": "given"}
STATISTICS = {"labels": "sampled", "label_samples": 1}


@pytest.fixture
def probed(toy: list[Row], make_row: Callable[..., Row]) -> list[Row]:
    """The toy rows with relearning after K-FAC at .002 (.35 of memory at step 0) and after none, and two bands."""
    after = {**KFAC, "fraction": 0.002}
    table: list[tuple[dict[str, Any], list[float]]] = [
        ({**RELEARN, "after": after, "steps": 3}, [0.4, 0.5]),
        ({**RELEARN, "after": after, "steps": 10}, [0.6, 0.8]),
        ({**RELEARN, "after": after, "steps": 10, "train_on": "right"}, [0.3, 0.4]),
        ({**RELEARN, "after": {"method": "none"}, "steps": 3}, [0.8, 0.9]),
        ({"method": "band_removed", "blocks": "last", "band": "50-100", "basis": "kfac"}, [0.2, 0.3]),
        ({"method": "band_removed", "blocks": "last", "band": "5-10", "basis": "kfac"}, [0.7, 0.8]),
        ({"method": "band_removed", "blocks": "last", "band": "0-10", "basis": "svd"}, [0.1, 0.1]),
    ]
    rows = []
    for edit, memorized in table:
        for seed in (0, 1):
            row = make_row(seed, edit, report=(memorized[seed], 0.5), selection=(0.0, 0.5))
            row["id"] += str(edit)
            row["edit"]["probe"] = True
            if edit.get("after") == after or edit.get("basis") == "kfac":
                row["config"]["statistics"] = STATISTICS
            rows.append(row)
    return [*toy, *rows]


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_relearning_begins_at_the_edit_alone(probed: list[Row]) -> None:
    rows = cells(render_tables(Report("toy", probed))["relearning.csv"])
    assert [(r["after"], r["setting"], r["steps"], r["memorized"]) for r in rows] == [
        ("no edit", "", "0", "0.85"),
        ("no edit", "", "3", "0.85"),
        ("K-FAC", "fraction 0.002", "0", "0.35"),
        ("K-FAC", "fraction 0.002", "3", "0.45"),
        ("K-FAC", "fraction 0.002", "10", "0.7"),
        ("K-FAC, train_on right", "fraction 0.002", "0", "0.35"),
        ("K-FAC, train_on right", "fraction 0.002", "10", "0.35"),
    ]
    # by seed .4 - .3 and .5 - .4; .6 - .3 and .8 - .4
    assert [r["memorized_minus_before"] for r in rows[2:5]] == ["", "0.1", "0.35"]


def test_bands_stand_in_the_order_of_the_spectrum_beside_the_base(probed: list[Row]) -> None:
    rows = cells(render_tables(Report("toy", probed))["bands_removed.csv"])
    found = [(r["basis"], r["band"], r["memorized"], r["memorized_minus_base"]) for r in rows]
    assert found == [
        ("base", "", "0.85", ""),
        ("kfac", "5-10", "0.75", "-0.1"),
        ("kfac", "50-100", "0.25", "-0.6"),
        ("svd", "0-10", "0.1", "-0.75"),
    ]


def test_no_method_competes_with_a_probe(toy: list[Row], probed: list[Row]) -> None:
    """The probes fall furthest on the selection half at no loss, and are chosen nowhere."""
    plain, tables = render_tables(Report("toy", toy)), render_tables(Report("toy", probed))
    assert tables.keys() - plain.keys() == {
        f"{name}.{end}" for name in ("relearning", "bands_removed") for end in ("md", "tex", "csv")
    }
    for name in plain:
        if name.endswith(".csv") and name not in ("facts.csv", "sweep.csv"):
            assert tables[name] == plain[name]
    sweep = [row["method"] for row in cells(tables["sweep.csv"])]
    assert "relearning after K-FAC, fraction 0.002 train_on=given" in sweep
    assert len(sweep) == len(cells(plain["sweep.csv"])) + 7


def test_the_figure_has_a_line_an_edit_and_the_same_bytes(probed: list[Row], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_rows(tmp_path / name / "toy" / "rows.jsonl", probed)
    one, two = (write_figures(tmp_path / name) for name in ("one", "two"))
    assert [p.name for p in one] == ["relearning.svg", "relearning.png", "tradeoff.svg", "tradeoff.png"]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    report = Report("toy", probed)
    figure = relearning_figure(report)
    assert figure is not None
    memorized, recovered = figure.axes
    assert (memorized.get_ylabel(), recovered.get_ylabel()) == ("memorized (%)", "recovered (%)")
    assert [text.get_text() for text in memorized.get_xticklabels()] == ["0", "3", "10"]
    names = [text.get_text() for text in recovered.get_legend().get_texts()]
    assert names == ["base", "no edit", "K-FAC", "K-FAC, train_on right"]
    kfac = memorized.containers[1].lines[0]  # type: ignore[attr-defined]
    assert list(kfac.get_ydata()) == pytest.approx([35, 45, 70])


def test_the_dial_runs_from_the_edit_to_the_base(probed: list[Row], make_row: Callable[..., Row]) -> None:
    rows = [
        make_row(seed, edit, report=(0.3 + turn / 2, 0.5), selection=(0.0, 0.5))
        for turn in (0.8, 0.2)
        for seed in (0, 1)
        for edit in [{"method": "dial", "blocks": "last", "after": {**KFAC, "fraction": 0.002}, "turn": turn}]
    ]
    for row in rows:
        row["edit"]["probe"], row["config"]["statistics"] = True, STATISTICS
    tables = render_tables(Report("toy", [*probed, *rows]))
    found = [(r["after"], r["turn"], r["memorized"]) for r in cells(tables["dial.csv"])]
    assert found == [("K-FAC", "0", "0.35"), ("K-FAC", "0.2", "0.4"), ("K-FAC", "0.8", "0.7")]
    assert tables["relearning.csv"] == render_tables(Report("toy", probed))["relearning.csv"]
    report = Report("toy", [*probed, *rows])
    figure = dial_figure(report)
    assert figure is not None
    panels = figure.axes
    assert [axes.get_ylabel() for axes in panels] == ["memorized (%)", "recovered (%)", "validation (%)"]
    assert [text.get_text() for text in panels[0].get_xticklabels()] == ["0", "0.2", "0.8"]

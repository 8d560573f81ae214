"""Metrics of plug-ins reach the tables and the page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from vitmem.reports.files import render_tables
from vitmem.reports.page.material import Material
from vitmem.reports.page.write import write_page
from vitmem.reports.report import Report
from vitmem.reports.tables.metrics import BUILT_IN, MOST

Row = dict[str, Any]
RESULTS = Path(__file__).parents[2] / "results"


def with_metric(rows: list[Row], **metrics: float) -> list[Row]:
    """Return ``rows`` with ``metrics``, larger by the seed, and another seed of each."""
    more = [{**row, "id": f"{row['id']}-2", "config": {**row["config"], "seed": 2}} for row in rows[::2]]
    return [
        {**row, "metrics": {**row["metrics"], **{n: v + row["config"]["seed"] for n, v in metrics.items()}}}
        for row in [*rows, *more]
    ]


def test_a_plug_in_s_metric_has_a_column_in_its_own_unit(toy: list[Row]) -> None:
    assert "metrics.md" not in render_tables(Report("toy", toy))
    tables = render_tables(Report("toy", with_metric(toy, sharpness=1234.5, a_b=0.001)))
    rows = list(csv.DictReader(io.StringIO(tables["metrics.csv"])))
    assert len(rows) == 6 and (rows[0]["method"], rows[0]["seeds"]) == ("base", "3")
    mean, half = (float(rows[0][key]) for key in ("sharpness", "sharpness_interval"))
    assert mean == 1235.5 and half == pytest.approx(2.48, abs=0.01)
    assert "| 1.001 ± 2.5 | 1236 ± 2.5 |" in tables["metrics.md"] and "a\\_b" in tables["metrics.tex"]


def test_it_is_on_the_page(toy: list[Row], tmp_path: Path) -> None:
    rows = [{**row, "ids": {"training": f"t{row['config']['seed']}"}} for row in with_metric(toy, sharpness=7.25)]
    missing = {"curves": "none", "pictures": "none"}
    page, *_ = write_page(Material("toy", rows, "toy.yaml", missing=missing), tmp_path)
    text = page.read_text()
    assert "Metrics of plug-ins" in text and "sharpness" in text and "8.25 ± 2.5" in text


def test_many_metrics_are_named_where_they_lie(toy: list[Row]) -> None:
    tables = render_tables(Report("toy", with_metric(toy, **{f"m{n:03}": 0.5 for n in range(MOST + 7)})))
    assert "- 7 more are in rows.jsonl, from m020 to m026" in tables["metrics.md"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/rows.jsonl")), ids=lambda path: path.parent.name)
def test_every_metric_of_the_committed_rows_is_known(path: Path) -> None:
    with path.open() as file:
        names = {name for line in file for name in json.loads(line).get("metrics", {})}
    assert {name for name in names if not BUILT_IN.fullmatch(name)} == set()

"""Figures are made of the rows alone and come out byte for byte the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vitmem.reports.drawing import write_figures
from vitmem.reports.figures.methods import methods
from vitmem.reports.figures.tradeoff import tradeoff
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS
from vitmem.rows import write_rows

Row = dict[str, Any]


def test_same_bytes(toy: list[Row], make_row: Callable[..., Row], tmp_path: Path) -> None:
    model = {"name": "vit", "pool": "mean"}
    mean = [{**r, "id": r["id"] + "m", "config": {**r["config"], "model": model}} for r in toy]
    for name in ("one", "two"):
        write_rows(tmp_path / name / "toy" / "rows.jsonl", [*toy, *mean])
    one, two = (write_figures(tmp_path / name) for name in ("one", "two"))
    assert [p.name for p in one] == ["tradeoff.svg", "tradeoff.png"]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert "<dc:date>" not in one[0].read_text()
    assert one[1].read_bytes().startswith(b"\x89PNG")


def test_a_panel_that_has_no_training_is_empty(toy: list[Row]) -> None:
    rows = [
        {**r, "id": f"{r['id']}{n}", "config": {**r["config"], "noise": {"name": "symmetric", "rate": n / 10}}}
        for r in toy
        for n in range(1, 5)
    ]
    report = Report("toy", rows)
    figure = tradeoff(report)
    assert figure is not None
    panels = figure.axes
    assert [axes.axison for axes in panels] == [True] * 4 + [False] * 2


def test_more_methods_than_colours_are_dots_with_intervals(toy: list[Row], tmp_path: Path) -> None:
    svd = [row for row in toy if row["config"]["edit"]["method"] == "svd"]
    more = [
        {
            **row,
            "id": f"{row['id']}{n}",
            "config": {**row["config"], "edit": {**row["config"]["edit"], "method": f"m{n}"}},
            # as of a method that declares none
            "edit": {k: v for k, v in row.get("edit", {}).items() if k != "information"},
        }
        for row in svd
        for n in range(len(COLOURS))
    ]
    write_rows(tmp_path / "toy" / "rows.jsonl", [*toy, *more])
    # figures of older rows with fewer methods; other files stay
    for name in ("tradeoff.png", "tradeoff.svg", "mine.png"):
        (tmp_path / "toy" / "figures").mkdir(exist_ok=True)
        (tmp_path / "toy" / "figures" / name).touch()
    assert [p.name for p in write_figures(tmp_path)] == ["methods.svg", "methods.png"]
    assert sorted(p.name for p in (tmp_path / "toy" / "figures").iterdir()) == [
        "methods.png",
        "methods.svg",
        "mine.png",
    ]
    figure = methods(Report("toy", [*toy, *more]))
    assert figure is not None
    panels = figure.axes
    assert [axes.get_xlabel() for axes in panels] == ["memorized (%)", "recovered (%)", "validation (%)"]
    names = [text.get_text() for text in panels[0].get_yticklabels()]
    assert names[0] == "base" and len(names) == 1 + 3 + len(COLOURS)
    assert {f"m{n}" for n in range(len(COLOURS))} < set(names)
    # the base and each chosen method; the random basis has no setting that qualifies
    assert len(panels[0].containers) == len(names) - 1
    assert float(panels[0].containers[0].lines[0].get_xdata()[0]) == pytest.approx(85)  # type: ignore[attr-defined]


def test_skills_are_drawn_when_there_are_families(toy: list[Row], tmp_path: Path) -> None:
    skills = {"accuracy_rule": 0.5, "retention_rule": 0.5, "accuracy_logic": 0.9, "retention_logic": 1.0}
    rows = [{**r, "metrics": {**r["metrics"], **skills}} if r["status"] == "ok" else r for r in toy]
    for name in ("one", "two"):
        write_rows(tmp_path / name / "toy" / "rows.jsonl", rows)
    one, two = (write_figures(tmp_path / name) for name in ("one", "two"))
    assert [p.name for p in one] == ["skills.svg", "skills.png", "tradeoff.svg", "tradeoff.png"]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_the_legend_names_what_is_drawn(toy: list[Row]) -> None:
    text = [{**r, "metrics": {k: v for k, v in r.get("metrics", {}).items() if "reference" not in k}} for r in toy]
    for rows, drawn in ((toy, True), (text, False)):
        report = Report("toy", rows)
        figure = tradeoff(report)
        assert figure is not None
        assert ("never seen" in [label.get_text() for label in figure.legends[0].get_texts()]) == drawn


def test_nothing_to_draw(make_row: Callable[..., Row], tmp_path: Path) -> None:
    failed = make_row(0, {"method": "none"}, report=(0, 0), selection=(0, 0), status="failed")
    write_rows(tmp_path / "toy" / "rows.jsonl", [failed])
    assert write_figures(tmp_path) == []

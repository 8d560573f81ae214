"""The landing tables: one line a suite or a network, with the numbers of other tables; and the facts of a suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vitmem.reports.files import OverSuites, tables_of
from vitmem.reports.overview import FEW
from vitmem.reports.report import Report
from vitmem.rows import read_rows

Row = dict[str, Any]
Cells = list[dict[str, str]]
RESULTS = Path(__file__).parents[2] / "results"
KFAC = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last", "fraction": 0.1}
SCALED = {"method": "uniform_scaling", "blocks": "last", "factor": 0.5}


def landing(*reports: Report, name: str = "suites") -> Cells:
    """Return the rows of a landing table, by title."""
    over_all = OverSuites()
    for report in reports:
        over_all.observe(report)
    table = over_all.tables().get(name)
    return (
        [] if table is None else [dict(zip([c.title for c in table.columns], row, strict=True)) for row in table.texts]
    )


@pytest.fixture
def network(make_row: Callable[..., Row]) -> Callable[..., list[Row]]:
    """Three seeds of a network: base at .9, K-FAC at ``kfac`` and scaling at ``scaled`` memorized, none loses."""

    def make(kfac: float = 0.2, scaled: float = 0.5, base: float = 0.9, **model: Any) -> list[Row]:
        edits = [({"method": "none"}, base), (KFAC, kfac), (SCALED, scaled)]
        return [
            make_row(seed, edit, report=(left, 0.5), selection=(left, 0.5), model=model)
            for edit, left in edits
            for seed in (0, 1, 2)
        ]

    return make


def test_one_network_is_one_line(network: Callable[..., list[Row]]) -> None:
    rows = network()
    for row in rows:
        row["counts"]["tokens"] = 4
        row["costs"]["training_seconds"] = 3600.0
    assert landing(Report("toy", rows)) == [
        {
            "suite": "toy",
            "data and network": "4,000 of mnist5k; vit, 4 tokens",
            "base": "90.0 / 0.0 / 50.0",
            "best edit": "K-FAC: 20.0 / 70.0 / 50.0",
            "best shrinkage": "uniform scaling: 50.0",
            "lead": "+30.0 (+30.0 to +30.0): ahead",
            "seeds, hours": "3, 3.0",  # a training counts once for its three cells
        }
    ]


def test_few_networks_have_a_line_each_and_many_share_one(network: Callable[..., list[Row]]) -> None:
    few = [*network(width=1), *network(kfac=0.6, width=2)]
    lines = landing(Report("toy", few))
    assert len(lines) == FEW == 2
    assert [line["data and network"].split("; ")[1] for line in lines] == ["vit width=1", "vit width=2"]
    assert [line["lead"] for line in lines] == ["+30.0 (+30.0 to +30.0): ahead", "-10.0 (-10.0 to -10.0): behind"]
    many = [*few, *network(base=0.1, kfac=0.1, scaled=0.1, width=3)]
    (line,) = landing(Report("toy", many))
    assert (
        line["data and network"].endswith("; vit, 3 networks") and line["base"] == "90 / 0 / 50"
    )  # the third has nothing to remove
    assert line["best edit"] == "K-FAC (2): 20–60 / 30–70 / 50" and line["best shrinkage"] == "uniform scaling (2): 50"
    assert line["lead"] == "-10.0 to +30.0: ahead in 1, behind in 1, nothing to remove in 1"


@pytest.mark.parametrize(
    ("drop", "word"),
    [
        ("kfac", "no edit keeps accuracy"),
        ("uniform_scaling", "no shrinkage keeps accuracy"),
    ],
)
def test_what_keeps_no_accuracy_is_said(network: Callable[..., list[Row]], drop: str, word: str) -> None:
    rows = network()
    for row in rows:
        if row["config"]["edit"]["method"] == drop:
            row["selection"]["validation"] = 0.4
    assert landing(Report("toy", rows))[0]["lead"] == word


def test_what_is_not_there_is_said(network: Callable[..., list[Row]]) -> None:
    rows = network()
    without = [row for row in rows if row["config"]["edit"]["method"] != "uniform_scaling"]
    assert landing(Report("toy", without))[0]["lead"] == "no shrinkage tried"
    base = [row for row in rows if row["config"]["edit"]["method"] == "none"]
    assert landing(Report("toy", base))[0]["lead"] == "no edits"
    two = [row for row in rows if row["config"]["seed"] < 2]
    assert landing(Report("toy", two))[0]["lead"] == "+30.0: no interval"


def test_leads_that_hang_on_one_setting_are_counted_once_a_network(network: Callable[..., list[Row]]) -> None:
    def stay(**suites: list[Row]) -> str:
        over_all = OverSuites()
        for name, rows in suites.items():
            over_all.observe(Report(name, rows))
        return over_all.tables()["suites"].said[0]

    def twice(**model: Any) -> list[Row]:
        weaker = [row for row in network(kfac=0.4, **model) if row["config"]["edit"]["method"] == "kfac"]
        for row in weaker:
            row["id"] += "+"
            row["config"] = {**row["config"], "edit": {**KFAC, "fraction": 0.2}}
        return [*network(**model), *weaker]

    wide = {"width": 32}
    told = "{} of {} networks that are ahead stay ahead without their best setting"
    assert stay(one=network(), two=twice(**wide), behind=network(kfac=0.6, width=64)) == told.format(1, 2)
    assert stay(one=twice(), again=twice(), two=network(**wide)) == told.format(1, 2)
    # without another setting in one of its suites it does not stay ahead
    assert stay(one=twice(), again=network()) == told.format(0, 1)


def test_beside_the_paper_stand_the_networks_of_the_most_images_and_tokens(network: Callable[..., list[Row]]) -> None:
    few, split, most = network(kfac=0.8), network(kfac=0.7), network(kfac=0.1)
    for rows, tokens in ((split, 1), (most, 4)):
        for row in rows:
            row["counts"]["train"] = row["config"]["data"]["train"] = 50_000
            row["counts"]["tokens"] = row["config"]["model"]["depth"] = tokens
    lines = landing(Report("scaling_cifar10", [*few, *split, *most]), Report("other", network()), name="paper")
    assert [line["after the best edit"] for line in lines] == ["K-FAC: 3.5 / 66.5 / 71.7", "K-FAC: 10.0 / 80.0 / 50.0"]
    assert lines[1]["images and network"].startswith("50,000 of mnist5k; vit")
    assert lines[1]["lead in points"] == "+40.0 (+40.0 to +40.0): ahead" and lines[0]["lead in points"] == ""
    assert landing(Report("other", network()), name="paper") == []


def test_suites_stand_in_the_order_of_their_leads(network: Callable[..., list[Row]]) -> None:
    reports = [Report("small", network(0.4)), Report("none", network()[:3]), Report("large", network(0.1))]
    assert [line["suite"] for line in landing(*reports)] == ["large", "small", "none"]


def test_text_has_a_table_of_its_own_where_two_points_may_be_lost(network: Callable[..., list[Row]]) -> None:
    rows = network()
    for row in rows:
        row["metrics"]["perplexity"] = 12.0
        if row["config"]["edit"]["method"] == "kfac":
            row["selection"]["validation"] = 0.485
    report = Report("toy", rows)
    assert landing(report) == []
    (line,) = landing(report, name="text_suites")
    assert line["base"] == "90.0 / 50.0 / 12.0" and line["best edit"] == "K-FAC: 20.0 / 50.0 / 12.0"


def test_the_numbers_of_the_demo_are_those_of_its_verdict() -> None:
    report = Report("demo", read_rows(RESULTS / "demo" / "rows.jsonl"))
    said = tables_of(report, "verdict")["verdict"].said
    lines = landing(report)
    for line, sentence in zip(lines, said, strict=True):
        before, after = (line[key].split(" / ")[0].split(": ")[-1] for key in ("base", "best edit"))
        lead = line["lead"].removesuffix(": ahead")
        gap, ends = lead.split(" ", 1)
        assert f"takes memorized from {before} to {after} %" in sentence and f"{gap[1:]} points more {ends}" in sentence


def test_facts_are_counted_from_rows(toy: list[Row]) -> None:
    facts = dict(tables_of(Report("toy", toy), "facts")["facts"].texts)
    assert facts["networks"] == "vit" and facts["edits"] == "5 settings of 3 methods"
    assert facts["seeds"] == "2 (0, 1)" and facts["trainings"] == "2" and facts["cells"] == "12 finished, 0 failed"
    assert (
        facts["device and versions"] == "12 cells on cpu (Toy CPU, 2 threads); python 3.12.1, torch 2.9.0, vitmem 0.1.0"
    )
    # twelve edits of one second; evaluations, trainings and shared statistics have no seconds or no id in these rows
    assert facts["hours"] == f"{12 / 3600:.2f}: edits {12 / 3600:.2f} (12)"

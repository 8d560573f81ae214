"""Tables for a terminal: at most eight columns and a hundred characters, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitmem.reports.aggregate import Estimate
from vitmem.reports.files import tables_of
from vitmem.reports.render import Column, Table
from vitmem.reports.report import Report
from vitmem.reports.terminal import terminal
from vitmem.rows import read_rows

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("suite", ["demo", "methods_cifar10_small", "gemma_recitation", "views_cifar10_small"])
def test_tables_of_committed_rows_fit(suite: str) -> None:
    report = Report(suite, read_rows(RESULTS / suite / "rows.jsonl"))
    table = tables_of(report, "chosen")["chosen"].shown
    text = terminal(table)
    above, rest = text.split("\n\n", 1)
    head = rest.splitlines()[0]
    assert above.startswith(f"{suite}: ")
    assert max(map(len, text.splitlines())) <= 100
    assert {"method", "setting", "memorized", "validation"} <= set(head.split())
    assert sum(len(row[0]) > 0 for row in table.texts) == len(table.texts)


def test_what_is_read_first_is_there_and_what_is_the_same_stands_above() -> None:
    columns = [Column("model", "model"), Column("method", "method"), Column("setting", "setting")]
    columns += [Column(name, name, "percent") for name in (*(f"x{i}" for i in range(10)), "validation")]
    cells = [Estimate(0.5, None, 1)] * 11
    table = Table("toy", "a suite.", tuple(columns), tuple(("vit", "[red]kfac", f"s{i}", *cells) for i in range(2)))
    above, _, head, _, first, *_ = terminal(table).splitlines()
    assert above == "a suite; model vit"
    assert head.split() == ["method", "setting", "x0", "x1", "x2", "x3", "x4", "validation"]
    assert first.split()[:2] == ["[red]kfac", "s0"]
    narrow = terminal(table, 50).splitlines()
    assert "validation" in narrow[2] and max(map(len, narrow)) <= 50


@pytest.mark.parametrize("suite", ["demo", "methods_cifar10_small", "fashion_tokens"])
def test_settings_of_a_sweep_are_named(suite: str) -> None:
    table = tables_of(Report(suite, read_rows(RESULTS / suite / "rows.jsonl")), "sweep")["sweep"]
    text = terminal(table)
    head = text.split("\n\n", 1)[1].splitlines()[0].split()
    assert {"method", "blocks", "strength", "memorized", "validation"} <= set(head)
    assert max(map(len, text.splitlines())) <= 100

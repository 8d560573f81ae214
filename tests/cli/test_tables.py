"""What ``vitmem tables`` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.rows import write_rows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The rows of the demo alone."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "rows.jsonl").write_bytes((ROOT / "results" / "demo" / "rows.jsonl").read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["chosen", "matched", "sweep", "headline", "comparison", "labelfree", "front"])
def test_print_shows_few_columns_and_where_the_rest_lies(results: Path, name: str) -> None:
    out = CliRunner().invoke(app, ["tables", "--results", str(results), "--print", name]).output
    *table, _, last = out.rstrip("\n").split("\n")
    assert max(map(len, table)) <= 100 and "method" in out and "K-FAC" in out and "| " not in out
    assert last == f"all columns: {results}/demo/tables/{name}.md; what they mean: {results}/glossary.md"
    assert not (results / "demo" / "tables").exists()


def test_the_table_over_all_suites_is_printed_too(results: Path) -> None:
    command = ["tables", "--results", str(results), "--print", "bases"]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, InputError) and "has the table 'bases'" in str(error)  # of one training there is none
    (results / "regime_small").symlink_to(ROOT / "results" / "regime_small")
    out = CliRunner().invoke(app, command).output
    assert (
        "memorized - K-FAC" in out
        and "SVD" in out
        and out.rstrip("\n").split("\n")[-1].startswith(f"all columns: {results}/bases.md; ")
    )
    error = CliRunner().invoke(app, [*command, "--suite", "demo"]).exception
    assert isinstance(error, InputError)


def test_an_unknown_table_is_one_sentence(results: Path) -> None:
    error = CliRunner().invoke(app, ["tables", "--results", str(results), "--print", "chose"]).exception
    assert isinstance(error, InputError) and "unknown table 'chose'; did you mean 'chosen'?" in str(error)


def test_what_was_written_is_a_line_a_folder(results: Path) -> None:
    lines = CliRunner().invoke(app, ["tables", "--results", str(results)]).output.splitlines()
    assert lines[0].startswith("wrote change, chosen, comparison") and lines[0].endswith(f"in {results}/demo/tables")
    assert lines[1:-1] == [
        f"wrote suites, glossary in {results}", f"wrote README in {results}/demo", f"wrote README in {results}"
    ]  # fmt: skip
    for end in ("tex", "csv"):
        own, over_all = (
            CliRunner().invoke(app, ["tables", "--results", str(results), "--format", end]).output.splitlines()
        )
        assert (
            own == lines[0]
            and over_all == f"wrote suites in {results}"
            and (results / "demo" / "tables" / f"chosen.{end}").is_file()
        )
    error = CliRunner().invoke(app, ["tables", "--results", str(results), "--format", "pdf"]).exception
    assert isinstance(error, InputError) and "unknown format 'pdf'" in str(error)


def test_a_suite_of_which_nothing_is_finished_is_named(tmp_path: Path) -> None:
    row = json.loads((ROOT / "results" / "demo" / "rows.jsonl").read_text().splitlines()[0])
    failed = {key: row[key] for key in ("schema", "id", "ids", "suite", "config")}
    write_rows(tmp_path / "toy" / "rows.jsonl", [{**failed, "status": "failed", "reason": "ValueError: no"}])
    out = CliRunner().invoke(app, ["tables", "--results", str(tmp_path)])
    assert out.output.splitlines()[0] == "toy: no table, since no cell is finished"

"""Pages of suites: the committed ones hold together; a missing one is made, and what is written by hand stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from vitmem.reports.documents import check_documents, write_documents
from vitmem.reports.files import suite_folders, write_tables
from vitmem.rows import write_rows

Row = dict[str, Any]
RESULTS = Path(__file__).parents[2] / "results"
PAGES = [RESULTS / "README.md", *(folder / "README.md" for folder in suite_folders(RESULTS))]
INCLUDED = re.compile(r"<!-- include (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def name(path: Path) -> str:
    return str(path.parent.relative_to(RESULTS.parent))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_includes_of_a_page_are_filled_and_its_links_stay_in_the_results(page: Path) -> None:
    text = page.read_text()
    includes = INCLUDED.findall(text)
    assert includes and all(filled.strip() for _, filled in includes), [path for path, filled in includes if not filled]
    links = LINK.findall(text)
    for target in links:
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve()
        assert path.is_relative_to(RESULTS) and path.exists(), target
        if anchor:
            assert f"\n## {anchor}\n" in path.read_text(), target


@pytest.mark.parametrize("page", PAGES[1:], ids=name)
def test_a_page_has_its_facts_its_findings_and_its_command(page: Path) -> None:
    text, suite = page.read_text(), page.parent.name
    assert text.startswith(f"# {suite}\n") and f"include results/{suite}/tables/facts.md" in text
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Findings", "Tables", "All tables", "Run it again"]
    assert f"vitmem run {suite}" in text[text.index("## Run it again") :]
    # a table is shown or linked, a figure is shown or linked by hand
    for file in (*page.parent.glob("tables/*.md"), *page.parent.glob("figures/*.png")):
        if file.name != "tradeoff.png":  # drawn for every suite
            assert f"({file.parent.name}/{file.name})" in text, file


@pytest.mark.parametrize("page", PAGES[1:], ids=name)
def test_intervals_in_prose_are_those_of_a_table(page: Path) -> None:
    text = page.read_text()
    prose = " ".join(INCLUDED.sub("", text).split())
    linked = [page.parent / place for place in re.findall(r"\]\(([^()#\s:]+\.md)\)", text)]
    own = {
        *page.parent.glob("tables/*.md"),
        *(path for path in linked if path.name != "README.md"),
        RESULTS / "bases.md",
    }
    tables = "\n".join(path.read_text() for path in own)
    said = re.findall(r"\d+\.\d ± \d+\.\d|[+-]\d+\.\d to [+-]\d+\.\d", prose)
    assert not [interval for interval in said if interval not in tables]


def test_the_landing_page_links_every_suite() -> None:
    text = PAGES[0].read_text()
    assert not [page for page in PAGES[1:] if f"]({page.parent.name}/README.md)" not in text]


def test_a_suite_without_a_page_gets_one_and_keeps_what_is_written_into_it(toy: list[Row], tmp_path: Path) -> None:
    results = tmp_path / "my results"
    write_rows(results / "toy" / "rows.jsonl", toy)
    write_tables(results)
    assert check_documents(results, "toy") == [results / "toy" / "README.md"] == write_documents(results, "toy")
    assert write_documents(results) == [results / "README.md"] and check_documents(results) == []
    page = results / "toy" / "README.md"
    text = page.read_text()
    assert "| 2 (0, 1) |" in text and "| K-FAC |" in text and "- [sweep](tables/sweep.md): " in text
    assert "$ vitmem run toy.yaml" in text and "[toy](toy/README.md)" in (results / "README.md").read_text()
    page.write_text(mine := text.replace("## Findings\n", "## Findings\n\nIt works.\n"))
    (results / "toy" / "figures").mkdir()
    (results / "toy" / "figures" / "methods.png").write_bytes(b"")
    assert write_documents(results) == [page]
    figures = "<!-- include my results/toy/figures -->\n"
    assert page.read_text() == mine.replace(figures, f"{figures}![methods](figures/methods.png)\n")
    page.write_text("# Mine alone\n")
    assert write_documents(results) == [] and page.read_text() == "# Mine alone\n"


def test_results_behind_a_link_have_pages_too(toy: list[Row], tmp_path: Path) -> None:
    write_rows(tmp_path / "disk" / "toy" / "rows.jsonl", toy)
    (tmp_path / "project").mkdir()
    results = tmp_path / "project" / "results"
    results.symlink_to(tmp_path / "disk")
    write_tables(results)
    assert write_documents(results) == [results / "toy" / "README.md", results / "README.md"]
    assert "| K-FAC |" in (results / "toy" / "README.md").read_text()


def test_a_suite_of_failed_cells_has_no_page(toy: list[Row], tmp_path: Path) -> None:
    kept = ("schema", "id", "suite", "ids", "config")
    failed = [{**{key: row[key] for key in kept}, "status": "failed", "reason": "ValueError: no"} for row in toy]
    write_rows(tmp_path / "toy" / "rows.jsonl", failed)
    write_tables(tmp_path)
    assert write_documents(tmp_path) == []


def test_documents_of_other_kinds_are_left_alone(toy: list[Row], tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_rows(results / "toy" / "rows.jsonl", toy)
    write_tables(results)
    write_documents(results)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "latin.md").write_bytes("# Größe\n".encode("latin-1"))
    (tmp_path / "docs" / "chosen.md").write_text("<!-- include results/toy/tables/chosen.md -->\n<!-- end -->\n")
    assert write_documents(results) == [tmp_path / "docs" / "chosen.md"]

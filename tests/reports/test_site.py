"""The site of all results: the numbers of the tables, links that lead somewhere, and nothing of a name as HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.reports.documents import write_documents
from vitmem.reports.files import write_tables
from vitmem.reports.site.write import write_site
from vitmem.rows import write_rows

Row = dict[str, Any]
Suites = Callable[..., Path]
NASTY = """net <b>"x" & 'y' $z$ `q`"""
TEXT = """# toy

A suite of two seeds; see [another](../other/README.md), [the rows](rows.jsonl), [the code](../../vitmem/api.py),
[the choice](tables/chosen.md) and <script>alert(1)</script> or [this](javascript:alert(1)).

<!-- include results/toy/tables/facts.md -->
<!-- end -->

## Findings

![every setting](figures/tradeoff.png)

- K-FAC leaves 35 % ([rules](../glossary.md#chosen)), as ![drawn](own.svg) by hand.

![by hand](own.svg)

![from elsewhere](https://example.org/a.png)

## Tables

<!-- include results/toy/tables/verdict.md -->
<!-- end -->

| measure | |
|---|---:|
| a `b` | 1.5 |
"""


@pytest.fixture
def suites(tmp_path: Path, make_row: Callable[..., Row], toy: list[Row]) -> Suites:
    """Write the suites ``toy`` and ``other`` and those given, with their tables, and return their folder."""

    def make(**more: list[Row]) -> Path:
        scaled = {"method": "uniform_scaling", "blocks": "last", "factor": 0.5}
        other = [
            make_row(seed, edit, report=(left, 0.5), selection=(left, 0.5), model={"name": NASTY})
            for edit, left in (({"method": "none"}, 0.9), (scaled, 0.4))
            for seed in (0, 1, 2)
        ]
        for row in toy:
            if row["config"]["edit"]["method"] == "kfac":
                row["edit"]["information"] = "unlabelled"
        results = tmp_path / "results"
        for name, rows in {"toy": toy, "other": other, **more}.items():
            for row in rows:
                row["ids"] = {"training": f"{row['config']['model']}-{row['config']['seed']}"}
            write_rows(results / name / "rows.jsonl", rows)
        (results / "toy" / "README.md").write_text(TEXT)
        (results / "toy" / "own.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        write_tables(results)
        return results

    return make


def cells(text: str) -> list[list[str]]:
    """Return the texts of the cells of the first table, by row."""
    first = text[text.index("<table") : text.index("</table>")]
    rows = re.findall(r"<tr.*?</tr>", first, re.DOTALL)
    return [
        [html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows
    ]


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_every_link_leads_somewhere_in_the_folder(suites: Suites, tmp_path: Path) -> None:
    results, out = suites(), tmp_path / "site"
    write_documents(results)
    written = write_site(results, out)
    assert sorted(written) == sorted(out / name for name in content(out)) and len(written) > 20
    anchors = {path: set(re.findall(r'\sid="([^"]+)"', path.read_text())) for path in out.rglob("*.html")}
    for path in anchors:
        text = path.read_text()
        ids = re.findall(r'\sid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        for found in re.findall(r'(?:href|src)="([^"]+)"', text):
            place, _, anchor = html.unescape(found).partition("#")
            if place == "data:,":
                continue
            target = (path.parent / unquote(place)).resolve() if place else path
            assert target.is_file() and target.is_relative_to(out), f"{path}: {found}"
            assert not anchor or target.name == "compare.html" or anchor in anchors[target], f"{path}: {found}"


def test_the_landing_table_has_a_line_a_network_with_what_it_is_filtered_by(suites: Suites, tmp_path: Path) -> None:
    results = suites()
    write_site(results, tmp_path / "site")
    text = (tmp_path / "site" / "index.html").read_text()
    heads, *rows = cells(text)
    assert heads == [
        "suite", "data", "network", "base", "best edit", "best shrinkage", "lead, points", "verdict", "seeds", "hours"
    ]  # fmt: skip
    lines = {row[0]: [" ".join(cell.split()) for cell in row] for row in rows}
    assert list(lines) == ["other", "toy"]
    assert lines["toy"][1:] == [
        "4,000 of mnist5k", "vit", "85.0 / 5.0 / 52.0", "", "SVD 70.0", "", "no edit keeps accuracy", "2", "0.00"
    ]  # fmt: skip
    assert lines["other"][2:4] == [NASTY, "90.0 / 0.0 / 50.0"]
    facets = re.findall(r"data-(information|method)='(.*?)'", text)
    assert ("method", '["K-FAC", "SVD", "random basis"]') in facets and ("information", '["unlabelled"]') in facets
    assert re.findall(r'<option value="([^"]*)">', text)[:2] == ["", "mnist5k"]


def test_a_table_page_has_the_cells_of_the_table(suites: Suites, tmp_path: Path) -> None:
    results = suites()
    write_site(results, tmp_path / "site")
    heads, *rows = cells((tmp_path / "site" / "toy" / "tables" / "sweep.html").read_text())
    lines = (results / "toy" / "tables" / "sweep.md").read_text().split("\n")
    titles, _, *table = [[text.strip() for text in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    at = [heads.index(title) for title in titles]
    assert [[row[n] for n in at] for row in rows] == table


def test_a_document_has_the_tables_and_figures_of_the_site(suites: Suites, tmp_path: Path) -> None:
    write_site(suites(), tmp_path / "site")
    text = (tmp_path / "site" / "toy" / "index.html").read_text()
    assert '<a href="../other/index.html">another</a>' in text and "the rows, the code," in text
    assert '<a href="tables/chosen.html">the choice</a>' in text and "../glossary.html#chosen" in text
    assert '<img src="../toy/figures/tradeoff.svg" alt="every setting ' in text
    assert '<img src="../toy/own.svg" alt="by hand"' in text and "as drawn by hand" in text
    assert "from elsewhere" in text and "example.org" not in text
    assert text.count("<figure>") == len(set(re.findall(r'<img src="([^"]+)"', text))) == 2
    assert "&lt;script&gt;alert(1)" in text and 'href="javascript' not in text
    assert '<td class="n">1.5</td>' in text and '<th scope="col" class="n"></th>' in text
    assert 'id="list-of-tables"' in text  # the document has no list of its own


def test_findings_stand_side_by_side_without_their_figures(suites: Suites, tmp_path: Path) -> None:
    results = suites()
    write_site(results, tmp_path / "site")
    text = (tmp_path / "site" / "compare.html").read_text()
    other, toy = text.split("<template")[1:]
    findings = toy[toy.index('data-part="findings"') : toy.index('data-part="headline"')]
    assert "K-FAC leaves 35 %" in findings and "<img" not in findings and "<table" not in findings
    assert '<a href="glossary.html#chosen">rules</a>' in findings
    assert "A suite of two seeds" in toy and toy.count("toy/own.svg") == 2  # the figure, and its link
    assert "No findings are written down for this suite." in other
    assert not (results / "other" / "README.md").exists()
    page = (tmp_path / "site" / "other" / "index.html").read_text()
    assert "<h1>other</h1>" in page and "vitmem run other.yaml" in page and "No findings" not in page


def test_same_bytes_and_nothing_from_elsewhere(suites: Suites, tmp_path: Path) -> None:
    results = suites()
    for name in ("one", "two"):
        write_site(results, tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    for name, found in content(tmp_path / "one").items():
        if not name.endswith(".svg"):  # these name the standards that they follow
            assert not re.search(rb"(https?:)?//[a-z]", found.replace(b"// ", b"")), name


def test_names_are_texts(suites: Suites, tmp_path: Path) -> None:
    write_site(suites(), tmp_path / "site")
    pages = [path.read_text() for path in (tmp_path / "site").rglob("*.html")]
    assert not any("<b>" in text or "<script>" in text for text in pages)
    assert any(NASTY in html.unescape(text) for text in pages)


def test_a_suite_without_a_finished_cell_has_a_page(
    suites: Suites, make_row: Callable[..., Row], tmp_path: Path
) -> None:
    failed = make_row(0, {"method": "none"}, report=(0, 0), selection=(0, 0), status="failed")
    write_site(suites(bad=[failed]), tmp_path / "site")
    assert "there is no table yet" in (tmp_path / "site" / "bad" / "index.html").read_text()
    text = (tmp_path / "site" / "index.html").read_text()
    assert '<a href="bad/index.html">bad</a>' in text[text.index("Without a finished base") :]


def test_documents_of_its_own_are_pages(suites: Suites, tmp_path: Path) -> None:
    results = suites()
    (results / "README.md").write_text(
        "# All\n\n[a note](note.md), [a clash](index.md#b)\n\n## B\n\n[line](suites.md)\n"
    )
    (results / "note.md").write_text("# A note\n\n## B\n\n## B\n\n```console\n$ a < b\n```\n")
    (results / "index.md").write_text("## b\n")
    write_site(results, tmp_path / "site")
    text = (tmp_path / "site" / "index.html").read_text()
    assert "<h1>All</h1>" in text and 'href="note.html"' in text and 'href="index.md.html#b"' in text
    assert 'href="index.html#suites"' in text and text.count('role="search"') == 1
    assert '<h2 id="suites">' not in text and text.count('id="suites"') == 1
    note = (tmp_path / "site" / "note.html").read_text()
    assert '<h2 id="b">' in note and '<h2 id="b-1">' in note and "$ a &lt; b\n</code>" in note


def test_what_cannot_be_written_or_read_is_a_sentence(suites: Suites, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        out = CliRunner().invoke(app, ["site", *arguments])
        assert isinstance(out.exception, InputError)
        return str(out.exception)

    (tmp_path / "empty").mkdir()
    assert said("--results", str(tmp_path / "none")) == f"--results: no such folder: {tmp_path / 'none'}"
    assert "no suite has rows here; run one first" in said("--results", str(tmp_path / "empty"))
    results = suites()
    assert "--out: expected a folder other than that of the results" in said(
        "--results", str(results), "--out", str(results / "." / ".." / "results")
    )
    (tmp_path / "file").write_text("")
    assert "cannot write here" in said("--results", str(results), "--out", str(tmp_path / "file"))
    (results / "toy" / "README.md").write_bytes(b"\xff")
    assert "expected a document in UTF-8" in said("--results", str(results), "--out", str(tmp_path / "site"))


def test_the_command_says_where_the_site_is(suites: Suites, tmp_path: Path) -> None:
    out = CliRunner().invoke(app, ["site", "--results", str(suites()), "--out", str(tmp_path / "site")])
    assert re.fullmatch(rf"wrote \d+ pages in {tmp_path}/site \(1 MB\); open {tmp_path}/site/index.html\n", out.stdout)

"""Names that people chose, in every format: shown as they are, and nothing else is broken by them."""

from __future__ import annotations

import copy
import csv
import io
import re
import shlex
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitmem.reports.drawing import write_figures
from vitmem.reports.escape import latex_row, latex_text, markdown_row, one_line_of
from vitmem.reports.files import render_tables, write_tables
from vitmem.reports.page.cells import rerun
from vitmem.reports.page.look import slug
from vitmem.reports.page.material import Material
from vitmem.reports.page.write import write_page
from vitmem.reports.report import Report
from vitmem.reports.sheet import write_sheet
from vitmem.rows import write_rows

Row = dict[str, Any]
NAMES = [
    "$x", "$\\frac{1$", "it's", 'say "x"', "a|b", "back\\slash", "<script>alert(1)</script>", "two\nlines", "x" * 5000,
    "\u05e9\u05dc\u05d5\u05dd \u202e", "a&b; rm -rf /", "100 %", "a_b^c~d#e", "[b]", "*c*", "tab\there", "\x1b[31m",
    "\ud800",
]  # fmt: skip
# Figures take seconds: the names that have broken one.
DRAWN = ["$\\frac{1$", 'it\'s "x"', "<script>alert(1)</script>&", "x" * 5000, "two\nlines\x1b[31m", NAMES[9]]


def named(rows: list[Row], name: str) -> list[Row]:
    """Return ``rows`` of a model and a method of plug-ins whose names are ``name``."""
    rows = copy.deepcopy(rows)
    for row in rows:
        row["ids"] = {"training": f"t{row['config']['seed']}"}
        row["config"]["model"]["name"] = name
        if row["config"]["edit"]["method"] == "svd":
            row["config"]["edit"]["method"] = name
    return rows


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_is_shown_in_every_table_and_breaks_none(toy: list[Row], tmp_path: Path, name: str) -> None:
    rows = named(toy, name)
    tables = render_tables(Report("toy", rows))
    lines = [line for line in tables["chosen.md"].splitlines() if line.startswith("|")]
    assert len(lines) == 6 and len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
    assert "<script" not in tables["chosen.md"]
    body = tables["chosen.tex"].split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert len(body) == 4 and all(line.endswith(" \\\\") and not line.startswith(("[", "*")) for line in body)
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {12}
    found = list(csv.DictReader(io.StringIO(tables["chosen.csv"])))
    assert len(found) == 4 and all(len(row) == len(found[0]) and None not in row for row in found)
    if name != "\ud800":  # not text that a file can hold: rows of it cannot be written either
        write_rows(tmp_path / "toy" / "rows.jsonl", rows)
        assert write_tables(tmp_path)


@pytest.mark.parametrize("name", DRAWN, ids=range(len(DRAWN)))
def test_figures_and_pages_show_a_name_as_it_is(toy: list[Row], tmp_path: Path, name: str) -> None:
    rows = named(toy, name)
    write_rows(tmp_path / "toy" / "rows.jsonl", rows)
    for path in write_figures(tmp_path):
        assert path.suffix != ".svg" or ElementTree.parse(path)
    missing = {"curves": "none", "pictures": "none"}
    page, *files = write_page(Material("toy", rows, "toy.yaml", missing=missing), tmp_path / "report")
    assert all(path.is_file() and len(path.name) < 200 for path in files) and len(set(files)) == len(files)
    text = page.read_text()
    assert text.count("<script") == 1  # the page's own
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
    parser = _Texts()
    parser.feed(text)
    assert one_line_of(name, 100)[:50].strip() in " ".join(parser.texts)


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("name", ["a $ b.yaml", "it's.yaml", '"x".yaml', "a;b.yaml", "new\nline.yaml"])
def test_the_printed_command_is_one_that_a_shell_takes_apart_again(toy: list[Row], name: str) -> None:
    words = shlex.split(rerun(name, {**toy[0], "id": "a'b c"}).command)
    assert words[:5] == ["vitmem", "run", name, "--only", "a'b c"]


@pytest.mark.parametrize("name", DRAWN, ids=range(len(DRAWN)))
def test_a_sheet_has_any_name_of_a_class(tmp_path: Path, name: str) -> None:
    write_sheet(tmp_path / "sheet.png", np.zeros((1, 1, 8, 8), np.uint8), [name], ["b"], f"{name} of $1 and $2")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_names_of_files_are_short_and_apart() -> None:
    assert slug("Heat outcomes", "vit pool=mean") == "heat-outcomes-vit-pool-mean"
    long = [slug("x" * 500 + end) for end in "ab"]
    assert long[0] != long[1] and max(map(len, long)) < 140


def test_drawings_whose_names_are_written_alike_have_files_of_their_own(toy: list[Row], tmp_path: Path) -> None:
    rows = [*named(toy, "a b"), *({**row, "id": f"{row['id']}-"} for row in named(toy, "A-b"))]
    missing = {"curves": "none", "pictures": "none"}
    page, *files = write_page(Material("toy", rows, "toy.yaml", missing=missing), tmp_path)
    assert len(set(files)) == len(files)
    ids = re.findall(r' id="([^"]+)"', re.sub("src='[^']+'", "", page.read_text()))
    assert len(set(ids)) == len(ids)


SPECIAL = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"}


def test_specials_of_latex_one_by_one() -> None:
    assert {text: latex_text(text) for text in SPECIAL} == SPECIAL
    assert latex_text("p < 0.0001 > ~^\\") == (
        r"p \textless{} 0.0001 \textgreater{} \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert latex_row(["[1]", "*"]) == "{}[1] & *"


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
@example(["\x1f"])
def test_a_row_has_as_many_cells_as_it_was_given(cells: Sequence[str]) -> None:
    latex, line = latex_row(cells), markdown_row(cells)
    assert len(re.findall(r"(?<!\\)&", latex)) == len(cells) - 1
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == len(cells) - 1
    assert "\n" not in latex + line and "\r" not in latex + line

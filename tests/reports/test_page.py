"""The page of a suite: the same numbers as the tables, the same bytes every time, and what is not there is named."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from vitmem.reports.page.accounts import environments, total
from vitmem.reports.page.gallery import HARMED, Wanted, draw, gallery_of, shown_pictures
from vitmem.reports.page.material import Material, Pictures
from vitmem.reports.page.pareto import pareto
from vitmem.reports.page.sections import sections
from vitmem.reports.page.strength import strength_curves
from vitmem.reports.page.tabled import tabled
from vitmem.reports.page.top import results
from vitmem.reports.page.write import embedded, write_page
from vitmem.reports.render import RENDERERS
from vitmem.reports.report import Report

Row = dict[str, Any]
MISSING = {"curves": "Training curves: left out, no store.", "pictures": "Images: left out, no store."}


def cells(text: str) -> list[list[str]]:
    """Return the texts of the cells of the first table, by row."""
    first = re.sub('<span class="under".*?</span>', "", text[text.index("<table") : text.index("</table>")])
    rows = re.findall(r"<tr.*?</tr>", first, re.DOTALL)
    return [
        [html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows
    ]


def material(rows: list[Row], **more: Any) -> Material:
    """Rows of a suite without a store; ``id`` and ``ids`` as the bench writes them."""
    for row in rows:
        row.setdefault("ids", {"training": f"{row['config']['model']}-{row['config']['seed']}"})
    return Material("toy", rows, "configs/suites/toy.yaml", **{"missing": MISSING, **more})


def test_the_headline_has_the_cells_of_the_table(toy: list[Row], tmp_path: Path) -> None:
    made = material(toy)
    page, *_ = write_page(made, tmp_path)
    heads, *rows = cells(page.read_text())
    lines = RENDERERS["md"](made.tables["chosen"]).split("\n")[2:]
    table = [[text.strip() for text in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert heads[0] == "method" and sorted(heads) == sorted(table[0])
    at = [heads.index(title) for title in table[0]]
    assert [[row[n] for n in at] for row in rows] == table[2:]


def test_every_table_of_the_suite_stands_in_the_page(toy: list[Row]) -> None:
    made = material(toy)
    parts = [part for section in sections(made) for part in section.parts if part.kind == "table"]
    shown = Counter(len(part.content.rows) for part in parts)
    assert not Counter(len(table.rows) for table in made.tables.values()) - shown


def test_same_bytes_and_nothing_from_elsewhere(toy: list[Row], tmp_path: Path) -> None:
    one, two = (write_page(material(toy), tmp_path / name) for name in ("one", "two"))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert {p.suffix for p in one} == {".html", ".svg", ".png"} and len(one) % 2 == 1
    page = one[0].read_text()
    text = re.sub("src='[^']+'", "", page)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 20
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)) and not re.search(
        r"(src|href)=\"(?!#|data:)", text
    )
    pointed = {a or b for a, b in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)}
    assert pointed <= set(ids)
    assert all(f"{sentence}</p>" in text for sentence in MISSING.values())
    drawn = re.findall(r"src='(data:image/svg\+xml,[^']+)' alt=\"\w", page)
    assert sorted(drawn) == sorted(embedded(path.read_text()) for path in one if path.suffix == ".svg")


def test_an_embedded_figure_draws_what_its_file_draws() -> None:
    svg = '<svg a=\'1\'>\n <!-- 50 % --><path d="M 0 0 \nL 1 1" style="fill: #fff"/>\n</svg>\n'
    head, text = unquote(embedded(svg)).split(",", 1)
    assert head == "data:image/svg+xml" and text == '<svg a=\'1\'> <path d="M 0 0 L 1 1" style="fill: #fff"/> </svg>'


def test_the_result_and_the_purpose_stand_on_top(make_row: Callable[..., Row], tmp_path: Path) -> None:
    rows = [
        make_row(0, edit, report=(memorized, 0.5), selection=(memorized, 0.5))
        for edit, memorized in (
            ({"method": "none"}, 0.8),
            ({"method": "kfac", "importance": "kfac", "side": "both", "blocks": "all", "fraction": 0.1}, 0.2),
            ({"method": "svd", "blocks": "all", "rank_fraction": 0.1}, 0.6),
        )
    ]
    text = write_page(material(rows, source="about: Two digits <small>"), tmp_path)[0].read_text()
    header = text[text.index("<header>") : text.index("</header>")]
    assert '<p class="about">Two digits &lt;small&gt;</p>' in header
    assert "at no loss K-FAC (all, fraction 0.1) takes memorized from 80.0 to 20.0 %" in header
    (sentence,) = results(material(rows))
    assert sentence in html.unescape(header)
    networks = [
        {**row, "id": f"{row['id']}{width}", "config": {**row["config"], "model": {"name": "vit", "width": width}}}
        for width in (1, 2, 3, 4)
        for row in rows
    ]
    counted, largest = results(material(networks))
    assert "in 4 networks: no interval in 4." in counted and largest.startswith("The largest lead: vit")


def test_many_methods_are_drawn_by_what_they_may_see(make_row: Callable[..., Row]) -> None:
    rows = [make_row(0, {"method": "none"}, report=(0.8, 0.5), selection=(0.8, 0.5))]
    for n in range(12):
        method = {"method": f"m{n:02}", "blocks": "all"}
        for strength in (1, 2):
            rows.append(make_row(0, {**method, "fraction": strength}, report=(0.3, 0.5), selection=(0.3, 0.5)))
            rows[-1]["edit"]["information"] = "trusted" if n % 4 == 0 else "data-free"
    made = material(rows)
    assert [company.title for company in made.companies] == ["data-free (1 of 2)", "data-free (2 of 2)", "trusted"]
    assert [len(company.names) for company in made.companies] == [5, 4, 3]
    assert [name for company in made.companies for name in company.names] == list(made.looks)
    (panels,) = pareto(made)
    assert len(panels.drawings) == 6 and len(strength_curves(made)) == 3
    shown = [row.cells[0].text for row in tabled(made.tables["chosen"]).rows]
    assert shown == ["base", *made.looks]
    looks = [(look.colour, look.dash) for look in made.looks.values()]
    assert len({*looks[:5]}) == 5 and looks[0] == looks[5] == looks[9]


def test_a_suite_of_failed_cells_has_a_page_that_says_why(make_row: Callable[..., Row], tmp_path: Path) -> None:
    failed = make_row(0, {"method": "none"}, report=(0, 0), selection=(0, 0), status="failed")
    page, *figures = write_page(material([failed]), tmp_path)
    assert not figures
    assert "failed: FloatingPointError: loss is NaN" in page.read_text()


def test_the_command_names_the_cell(toy: list[Row], tmp_path: Path) -> None:
    text = write_page(material(toy, source="name: toy # <b>"), tmp_path)[0].read_text()
    for row in toy:
        assert f"vitmem run configs/suites/toy.yaml --only {row['id']} --results again --store again" in text
    assert "name: toy # &lt;b&gt;" in text


def test_a_shared_training_is_counted_once(toy: list[Row]) -> None:
    for row in material(toy).rows:
        row["costs"]["training_seconds"] = 1800.0
    # 2 trainings of half an hour, 12 edits of one second; statistics have no id here
    assert total(toy).startswith("Hours of all cells together: 1.00: training 1.00 (2), edits 0.00 (12)")
    toy[0]["environments"] = {
        "training": {**toy[0]["environment"], "device_name": "Other", "dirty": True, "git": "a" * 40}
    }
    found = environments(Report("toy", toy), toy).rows
    assert [row[:3] for row in found] == [
        ("training", 1, "cpu, Other, 2 threads"),
        ("cell", 12, "cpu, Toy CPU, 2 threads"),
    ]
    assert found[0][-1] == "aaaaaaaaaa, changed"


def test_the_setting_stands_before_the_measures_and_means_sort(toy: list[Row]) -> None:
    found = tabled(material(toy).tables["chosen"])
    titles = [head.title for head in found.heads]
    assert titles[:4] == ["method", "model", "setting", "memorized"] and titles[-1] == "seeds"
    assert [head.setting for head in found.heads[:4]] == [False, False, True, False]
    values = [float(row.cells[3].value or "nan") for row in found.rows]
    assert values[:3] == pytest.approx([0.85, 0.35, 0.7]) and np.isnan(values[3])
    assert found.rows[3].cells[2].text == found.rows[3].setting == "no setting loses at most 2 points"
    assert not found.long and found.notes and not any("±" in sentence for sentence in found.said)


def test_a_gallery_shows_the_report_half_and_what_was_harmed() -> None:
    given, true = np.array([1, 0, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 0, 1])  # 0, 4 and 5 are wrong
    base, kfac = np.array([1, 0, 1, 1, 1, 0]), np.array([0, 1, 0, 0, 1, 1])  # 1 and 3 were right and are not
    one = Wanted("vit", 7, {})
    (wrong, rows), (harmed, others) = draw(one, np.array([0, 5]), given, true, {"base": base, "K-FAC": kfac})
    assert wrong == "vit, seed 7: 2 of 2 wrongly labelled images of the report half, drawn at random"
    assert rows.tolist() == [0, 5] and others.tolist() == [1, 3] and len(others) <= HARMED
    assert "2 of 2 rightly labelled training images that K-FAC turned wrong" in harmed and "(of 2 that" in harmed
    images = np.zeros((2, 3, 200, 100), np.uint8)
    labels = {"base": base[rows], "K-FAC": kfac[rows], "SVD": np.array([2, 2])}
    shown = shown_pictures(Pictures(wrong, images, given[rows], true[rows], labels, ("cat", "dog", "owl")))
    assert [label.kind for label in shown[0].predicted] == ["given", "true", "other"]
    assert (shown[0].given, shown[0].true, shown[0].alternative) == ("dog", "cat", "labelled dog, shows cat")
    assert shown[0].source.startswith("data:image/png;base64,")
    assert gallery_of(Pictures(wrong, images, given[rows], true[rows], labels, ("cat", "dog", "owl"), "SVD")).cards == (
        0,
        2,
    )

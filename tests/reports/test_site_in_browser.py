"""The site in headless Chromium, from disk: silent, alone, by keyboard, on a phone, in light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vitmem.reports.site.write import write_site
from vitmem.rows import write_rows

Row = dict[str, Any]
DRAWN: dict[str, Path] = {}
TEXT = """# {0}

## Findings

- What {0} says, at length: {1}

## Run it again

```console
$ vitmem run a_suite_with_a_very_long_name_that_does_not_fit_on_a_phone --data-dir ~/data --workers 2
```
"""
PAGES = ("index.html", "a/index.html", "a/tables/sweep.html", "compare.html", "glossary.html")


@pytest.fixture
def site(make_row: Callable[..., Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of three suites of two kinds of network, written once: the tests only look at it."""
    if "site" not in DRAWN:
        folder = tmp_path_factory.mktemp("site")
        for suite, model, left in (("a", "vit", 0.08), ("b & c", "mixer", 0.3), ("d_" * 30, "mixer", 0.2)):
            write_rows(folder / "results" / suite / "rows.jsonl", rows(make_row, model, left))
            text = TEXT.format(suite, "a_word_without_a_space_" * 5)
            (folder / "results" / suite / "README.md").write_text(text)
        write_site(folder / "results", folder / "site")
        DRAWN["site"] = folder / "site"
    return DRAWN["site"]


def rows(make_row: Callable[..., Row], model: str, left: float) -> list[Row]:
    """Return the rows of a network of which K-FAC leaves ``left`` memorized, in 60 settings."""
    edits = [({"method": "none"}, 0.9), ({"method": "uniform_scaling", "blocks": "last", "factor": 0.5}, 0.5)]
    kfac = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last"}
    edits += [({**kfac, "fraction": (n + 1) / 100}, left + n / 100) for n in range(60 if left < 0.1 else 1)]
    found = [
        make_row(seed, edit, report=(value, 0.5), selection=(value, 0.5), model={"name": model})
        for edit, value in edits
        for seed in (0, 1, 2)
    ]
    for row in found:
        if row["config"]["edit"]["method"] != "none":
            row["edit"]["information"] = "unlabelled" if row["config"]["edit"]["method"] == "kfac" else "data-free"
    return found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page; whatever the console says, or the network is asked for, fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    # a figure that loads while the page is left is cancelled, which is no fault of the page
    opened.on(
        "requestfailed", lambda request: said.append(request.url) if request.failure != "net::ERR_ABORTED" else None
    )
    opened.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    yield opened
    assert not said
    opened.close()


def column(page: Any, n: int, table: str = "table.landing") -> list[str]:
    """Return the visible texts of the n-th column of the first ``table``."""
    found = page.locator(table).first.locator(f"tbody tr:not([hidden]) > :nth-child({n})").all_inner_texts()
    return [" ".join(text.split()) for text in found]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_from_disk_in_light_and_dark_and_on_a_phone(page: Any, site: Path, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto((site / name).as_uri())
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) > 384) == (scheme == "light")
    boxes = page.evaluate("[...document.querySelectorAll('.scroll')].map((b) => b.tabIndex === 0 && !!b.ariaLabel)")
    assert all(boxes) and (boxes or name == "glossary.html")
    images = "(all) => all.map((one) => { one.loading = 'eager'; return one.decode().then(() => one.naturalWidth); })"
    shown = page.evaluate(f"Promise.all(({images})([...document.querySelectorAll('img')]))")
    assert all(width > 100 for width in shown)
    assert shown or name in ("index.html", "a/tables/sweep.html", "glossary.html")


def test_the_keyboard_sorts_up_down_and_back(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    before = column(page, 1)
    assert before == ["a", "d_" * 30, "b & c"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    head = page.locator("table.landing th", has_text="lead")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert (column(page, 1), head.get_attribute("aria-sort")) == (before[::-1], "ascending")
    page.keyboard.press("Space")
    assert (column(page, 1), head.get_attribute("aria-sort")) == (before, "descending")
    page.locator("table.landing th button", has_text="best edit").click()
    assert column(page, 5) == ["K-FAC 8.0 / 82.0 / 50.0", "K-FAC 20.0 / 70.0 / 50.0", "K-FAC 30.0 / 60.0 / 50.0"]
    assert head.get_attribute("aria-sort") is None
    for _ in range(2):
        page.locator("table.landing th button", has_text="best edit").click()
    assert column(page, 1) == before


def test_numbers_of_a_table_sort_by_size(page: Any, site: Path) -> None:
    page.goto((site / "a" / "tables" / "sweep.html").as_uri())
    page.locator("th button", has_text="selection memorized").click()
    sorted_by = page.locator("th[aria-sort]").evaluate("(head) => head.cellIndex + 1")
    found = [float(text.split()[0]) for text in column(page, sorted_by, "table")]
    assert found == sorted(found) and found[0] == 8 and found[-1] == 90
    page.locator("th button", has_text="strength").click()
    strengths = [text for text in column(page, 4, "table") if text.startswith("fraction")]
    assert strengths[:3] == ["fraction 0.01", "fraction 0.02", "fraction 0.03"] and strengths[-1] == "fraction 0.6"
    assert column(page, 4, "table")[-1] == ""
    frame = page.locator(".frame")
    assert "below" in frame.get_attribute("class")  # a box that hides rows says so
    frame.locator(".scroll").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    page.wait_for_function("!document.querySelector('.frame').classList.contains('below')")


def test_lines_are_filtered_by_what_they_have(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.locator("select[name=network]").select_option("mixer")
    assert column(page, 3) == ["mixer", "mixer"] and page.locator("output").inner_text() == "2 of 3 lines"
    page.locator("select[name=method]").select_option("K-FAC")
    page.locator("select[name=information]").select_option("data-free")
    assert len(column(page, 1)) == 2
    assert page.locator("p.none").is_hidden()
    page.evaluate("document.querySelector('table.landing tbody tr').dataset.network = '[]'")
    page.locator("select[name=network]").select_option("vit")
    assert column(page, 1) == [] and page.locator("p.none").is_visible()
    page.locator("button[type=reset]").click()
    page.wait_for_function("document.querySelector('output').textContent === '3 of 3 lines'")
    assert len(column(page, 1)) == 3


def test_two_suites_stand_beside_each_other(page: Any, site: Path) -> None:
    page.goto(f"{(site / 'compare.html').as_uri()}#b%20%26%20c")
    left, right = (page.locator(f".sides[data-part=findings] > :nth-child({n})") for n in (1, 2))
    assert "What b & c says" in left.inner_text() and "What a says" in right.inner_text()
    boxes = [one.bounding_box() for one in (left, right)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    page.locator("select[name=right]").select_option("d_" * 30)
    assert page.evaluate("location.hash") == f"#b%20%26%20c&{'d_' * 30}"
    page.reload()
    assert f"What {'d_' * 30} says" in right.inner_text()
    page.locator("#swap").focus()
    page.keyboard.press("Enter")
    assert f"What {'d_' * 30} says" in left.inner_text()
    for part in ("brief", "headline", "figures"):
        sides = page.locator(f"[data-part={part}].sides > div")
        assert [sides.nth(n).locator("h3").inner_text() for n in (0, 1)] == ["d_" * 30, "b & c"]
    assert (
        page.locator("[data-part=headline] table").count()
        == 2
        == page.locator("[data-part=figures].sides > div:has(img)").count()
    )
    page.locator("[data-part=headline] th button", has_text="memorized").first.click()
    assert page.locator("[data-part=headline] th[aria-sort=ascending]").count() == 1
    page.locator("select[name=left]").select_option("b & c")
    assert page.locator("output").inner_text() == "Choose two different suites."
    page.set_viewport_size({"width": 390, "height": 844})
    assert left.bounding_box()["x"] == right.bounding_box()["x"]
    assert page.evaluate("document.documentElement.scrollWidth") == 390

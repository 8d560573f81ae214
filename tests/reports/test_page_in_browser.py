"""The page in headless Chromium: it loads whole and alone, sorts, works by keyboard, on a phone and in print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitmem.reports.page.material import Material, Pictures
from vitmem.reports.page.write import write_page

Row = dict[str, Any]
DRAWN: dict[str, Path] = {}


@pytest.fixture
def path(toy: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with curves and two images, drawn once: the tests only look at it."""
    if "page" not in DRAWN:
        DRAWN["page"] = drawn(toy, tmp_path_factory.mktemp("page"))
    return DRAWN["page"]


def drawn(toy: list[Row], folder: Path) -> Path:
    """Draw the page into ``folder``."""
    for row in toy:
        row["ids"] = {"training": f"t{row['config']['seed']}"}
    curve = {"epoch": np.array([1.0, 2.0]), "train_loss": np.array([2.0, 1.0]), "memorized": np.array([0.1, 0.8])}
    labels = {"base": np.array([1, 1]), "K-FAC": np.array([0, 1])}
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)
    found = Pictures("two images", images, np.array([1, 1]), np.array([0, 0]), labels, ("cat", "dog"))
    made = Material("toy", toy, "toy.yaml", curves={"t0": curve}, pictures=[found])
    return write_page(made, folder)[0]


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    """The page as it opens from disk; whatever the console says or the network is asked for fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    opened.goto(path.as_uri())
    yield opened
    assert not said
    opened.close()


def column(page: Any, table: str, n: int) -> list[str]:
    """Return the texts of the n-th column of a table."""
    return [text.strip() for text in page.locator(f"{table} tbody tr > :nth-child({n})").all_inner_texts()]


def test_it_loads_whole(page: Any) -> None:
    assert page.title() == "toy – vitmem"
    width = "(images) => images.map((image) => image.complete && image.naturalWidth)"
    assert page.eval_on_selector_all(".gallery img", width) == [32, 32]
    assert page.locator(".gallery li").first.inner_text().split("\n") == [
        "shows: cat", "label: dog", "base: dog", "K-FAC: cat",
    ]  # fmt: skip
    figures = page.eval_on_selector_all("figure img", width)
    assert len(figures) >= 4 and all(found > 100 for found in figures)
    targets = page.evaluate(
        "[...document.querySelectorAll('nav a')].map((a) => document.querySelector(a.hash) !== null)"
    )
    assert len(targets) >= 9 and all(targets)


def test_columns_sort_up_down_and_back(page: Any) -> None:
    before = column(page, "#headline table", 1)
    assert before == ["base", "K-FAC", "SVD", "random basis"]
    button = page.locator("#headline th button", has_text="memorized")
    head = page.locator("#headline th", has_text="memorized")
    button.click()
    # memorized 85, 35, 70; the method without a setting has none and stays last either way
    assert column(page, "#headline table", 1) == ["K-FAC", "SVD", "base", "random basis"]
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert column(page, "#headline table", 1) == ["base", "SVD", "K-FAC", "random basis"]
    assert head.get_attribute("aria-sort") == "descending"
    button.click()
    assert column(page, "#headline table", 1) == before and head.get_attribute("aria-sort") is None


def test_numbers_in_texts_sort_by_size(page: Any) -> None:
    page.locator("#settings summary").first.click()
    page.locator("#settings th button", has_text="strength").click()
    strengths = [text for text in column(page, "#settings table", 4) if text]
    assert strengths == ["fraction 0.002", "fraction 0.002", "fraction 0.01", "fraction 0.5", "rank_fraction 0.1"]


def test_the_keyboard_is_enough(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.hash") == "#headline"
    page.locator("#headline th button", has_text="validation").focus()
    page.keyboard.press("Enter")
    assert page.locator("#headline th", has_text="validation").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert page.locator("#headline th", has_text="validation").get_attribute("aria-sort") == "descending"
    fold = page.locator("#cells details.fold").last
    fold.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert fold.get_attribute("open") is not None
    # what scrolls can be reached, and says what it is
    boxes = page.evaluate("[...document.querySelectorAll('.scroll')].map((b) => b.tabIndex === 0 && !!b.ariaLabel)")
    assert boxes and all(boxes)


def test_all_folds_open_and_close(page: Any) -> None:
    button = page.locator("#unfold")
    for pressed, text in (("true", "Close all"), ("false", "Open all")):
        button.click()
        states = page.evaluate("[...document.querySelectorAll('details.fold')].map((fold) => fold.open)")
        assert states and set(states) == {pressed == "true"}
        assert (button.get_attribute("aria-pressed"), button.inner_text()) == (pressed, text)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_and_the_page_does_not_scroll_sideways(page: Any, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.locator("#unfold").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    column = page.evaluate("document.querySelector('main').clientWidth")
    widths = page.eval_on_selector_all("figure img", "(images) => images.map((i) => i.getBoundingClientRect().width)")
    assert widths and max(widths) <= column and min(widths) > 240
    # rows are hidden by no box, columns by a box that says so
    for box in page.locator(".scroll:has(table)").all():
        hidden = box.evaluate("(box) => box.scrollWidth > box.clientWidth && !box.classList.contains('fits')")
        hint = box.evaluate("(box) => !box.parentElement.previousElementSibling.hidden")
        assert hidden == hint
        assert box.evaluate("(box) => box.classList.contains('fits') || box.scrollHeight <= box.clientHeight + 1")


def test_the_setting_is_in_sight(page: Any) -> None:
    cell = page.locator("#headline tbody tr").nth(1).locator("td.setting")
    assert cell.is_visible() and cell.bounding_box()["x"] < 640 and cell.inner_text() == "last, fraction 0.002"
    page.set_viewport_size({"width": 390, "height": 844})
    head = page.locator("#headline tbody th").nth(1)
    assert not cell.is_visible() and "fraction 0.002" in head.inner_text()
    box = page.locator("#headline .scroll")
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth")
    box.evaluate("(box) => { box.scrollLeft = 200; }")
    assert head.bounding_box()["x"] == pytest.approx(box.bounding_box()["x"], abs=1)  # the method stays in sight


def test_a_wide_figure_can_be_enlarged_on_a_phone(browser: Any, toy: list[Row], tmp_path: Path) -> None:
    scaled = [
        {
            **row,
            "id": f"{row['id']}u",
            "config": {**row["config"], "edit": {"method": "uniform_scaling", "factor": 0.9}},
        }
        for row in toy
        if row["config"]["edit"]["method"] == "svd"
    ]
    opened = browser.new_page(viewport={"width": 390, "height": 844})
    opened.goto(drawn([*toy, *scaled], tmp_path).as_uri())
    button = opened.locator("button.enlarge:visible").first
    button.focus()
    opened.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true" and button.inner_text() == "Fit to the page"
    assert opened.evaluate("document.querySelector('.enlarged').scrollWidth") > 390
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    opened.close()


def test_in_print_nothing_is_cut_off(page: Any) -> None:
    page.emulate_media(media="print")
    assert not page.locator("#unfold").is_visible()
    cut = page.evaluate("[...document.querySelectorAll('.scroll')].map((b) => getComputedStyle(b).overflowX)")
    assert set(cut) == {"visible"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")

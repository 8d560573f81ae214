"""Synthetic rows that can be computed by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Row = dict[str, Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


# of a module, since the event loop of playwright would be that of later tests too
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by playwright."""
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip(f"needs a browser on the path, one of {', '.join(BROWSERS)}")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install '.[dev]')")
    with playwright.sync_playwright() as play:
        found = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield found
        found.close()


def _make_row(
    seed: int,
    edit: dict[str, Any],
    *,
    report: tuple[float, float],
    selection: tuple[float, float],
    model: dict[str, Any] | None = None,
    status: str = "ok",
) -> Row:
    """A row with memorized and validation on both halves; the rest follows from these."""
    plain = edit["method"] == "none"
    text = "-".join([str(seed), *map(str, edit.values()), *map(str, (model or {}).values())])
    row: Row = {
        "schema": 1,
        "id": text,
        "suite": "toy",
        "status": status,
        "ids": {"training": f"training-{seed}-{(model or {}).get('name', 'vit')}"},
        "config": {
            "data": {"name": "mnist5k"},
            "noise": {"name": "symmetric", "rate": 0.1},
            "model": {"name": "vit", "pool": "token", **(model or {})},
            "recipe": {"epochs": 3, "weight_decay": 0.05},
            "seed": seed,
            "edit": edit,
        },
    }
    if edit["method"] in ("kfac", "random_basis"):
        row["config"]["statistics"] = {"labels": "sampled", "label_samples": 1}
    if status != "ok":
        return {**row, "reason": "FloatingPointError: loss is NaN"}

    def half(memorized: float, validation: float) -> dict[str, float]:
        return {
            "memorized": memorized, "recovered": 0.9 - memorized, "other": 0.1, "clean_train": 0.95,
            "validation": validation, "reference_memorized": 0.05, "reference_recovered": validation,
        }  # fmt: skip

    return {
        **row,
        "metrics": half(*report),
        "selection": half(*selection),
        "counts": {"train": 4000},
        "noise": {"realised": 0.1},
        "edit": {"layers": {}}
        if plain
        else {"kept_pairs": 5, "total_pairs": 1000, "kept_mass": 0.75, "relative_change": 0.5, "layers": {}},
        "costs": {"edit_seconds": 1.0, **({} if plain else {"statistics_seconds": 2.0})},
        "environment": {
            "python": "3.12.1", "torch": "2.9.0", "vitmem": "0.1.0",
            "device": "cpu", "device_name": "Toy CPU", "threads": 2,
        },
    }  # fmt: skip


@pytest.fixture
def make_row() -> Callable[..., Row]:
    return _make_row


@pytest.fixture
def toy() -> list[Row]:
    """Two seeds. (memorized, validation) on the report half | on the selection half, seed 0 then 1:

    ======================  ============  ============  ============  ============
    base                    .80  .50      .90  .54      .80  .50      .80  .50
    kfac last .01           .50  .52      .60  .56      .50  .49      .50  .49   fall .3, loss .01
    kfac last .002          .30  .47      .40  .51      .30  .49      .40  .47   fall .45, loss .02
    kfac all .002           .10  .60      .10  .60      .10  .40      .10  .40   loss .1: best on report!
    svd all .1              .60  .50      .80  .50      .60  .50      .60  .50   fall .2, loss 0
    random last .5          .70  .40      .70  .40      .70  .40      .70  .40   loss .1: never
    ======================  ============  ============  ============  ============
    """
    kfac, svd = {"method": "kfac", "importance": "kfac", "side": "both"}, {"method": "svd", "blocks": "all"}
    last = {**kfac, "blocks": "last"}
    table: list[tuple[dict[str, Any], list[tuple[float, float]], list[tuple[float, float]]]] = [
        ({"method": "none"}, [(0.80, 0.50), (0.90, 0.54)], [(0.80, 0.50), (0.80, 0.50)]),
        ({**last, "fraction": 0.01}, [(0.5, 0.52), (0.6, 0.56)], [(0.5, 0.49), (0.5, 0.49)]),
        ({**last, "fraction": 0.002}, [(0.3, 0.47), (0.4, 0.51)], [(0.3, 0.49), (0.4, 0.47)]),
        ({**kfac, "blocks": "all", "fraction": 0.002}, [(0.1, 0.6), (0.1, 0.6)], [(0.1, 0.4), (0.1, 0.4)]),
        ({**svd, "rank_fraction": 0.1}, [(0.6, 0.5), (0.8, 0.5)], [(0.6, 0.5), (0.6, 0.5)]),
        ({"method": "random_basis", "blocks": "last", "fraction": 0.5}, [(0.7, 0.4)] * 2, [(0.7, 0.4)] * 2),
    ]
    return [
        _make_row(seed, edit, report=report[seed], selection=selection[seed])
        for edit, report, selection in table
        for seed in (0, 1)
    ]

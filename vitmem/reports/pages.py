"""The pages of results without one: of a suite, and of all suites. Does not import torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from vitmem.reports.files import suite_folders
from vitmem.shipped import shipped

PAGE = "README.md"
FIRST = ("recitation", "verdict", "chosen")
SUITE = """# {suite}

<!-- include {results}/{suite}/tables/facts.md -->
<!-- end -->

## Findings

<!-- include {results}/{suite}/figures -->
<!-- end -->

<!-- include {results}/{suite}/tables/{first}.md -->
<!-- end -->

## All tables

<!-- include {results}/{suite}/tables -->
<!-- end -->

## Run it again

```console
$ vitmem run {file}
```
"""
RESULTS = """# Results

<!-- include {results}/suites.md -->
<!-- end -->

<!-- include {results}/text_suites.md -->
<!-- end -->

Over all suites:

<!-- include {results} -->
<!-- end -->

## Make the tables again

```console
$ vitmem tables
```
"""


def new_pages(results: Path, suite: str | None = None) -> Iterator[tuple[Path, str]]:
    """Yield path and text of the page of each suite with tables that has none, and without ``suite`` that of all.

    A suite's page shows its facts, its figures and the first of ``FIRST`` that it has, and links its other tables.
    """
    for folder in suite_folders(results, suite):
        text = suite_page(folder, {table.stem for table in folder.glob("tables/*.md")})
        if text is not None and not (folder / PAGE).exists():
            yield folder / PAGE, text
    over_suites = any((results / f"{name}.md").is_file() for name in ("suites", "text_suites"))
    if suite is None and over_suites and not (results / PAGE).exists():
        yield results / PAGE, results_page(results)


def suite_page(folder: Path, tables: Collection[str]) -> str | None:
    """Return the page of the suite in ``folder`` with its ``tables``, includes empty; ``None`` without a first one."""
    first = next((name for name in FIRST if name in tables), None)
    if first is None:
        return None
    file = folder.name if (shipped("suites") / f"{folder.name}.yaml").is_file() else f"{folder.name}.yaml"
    return SUITE.format(suite=folder.name, results=folder.absolute().parent.name, first=first, file=file)


def results_page(results: Path) -> str:
    """Return the page of all suites, includes empty."""
    return RESULTS.format(results=results.absolute().name)

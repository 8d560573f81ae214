"""``vitmem site``: all results as static pages, from their rows and documents. Loads no torch."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vitmem.bench.plugins import load_plugins
from vitmem.cli.options import Plugin, Results
from vitmem.cli.tables import belongs
from vitmem.errors import InputError
from vitmem.progress import bars
from vitmem.reports.render import counted, size_text


def site(
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="the folder of the pages; other files in it are left as they are")] = Path(
        "site"
    ),
    plugin: Plugin = None,
) -> None:
    """Write all results as static pages that open from disk: suites to sort, filter and compare, and their tables.

    Example: vitmem site --results results --out site
    """
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}")
    load_plugins(plugin or [])
    gc.disable()  # rows are millions of objects without cycles
    with bars():
        written: Sequence[Path] = importlib.import_module("vitmem.reports.site.write").write_site(results, out, belongs)
    size = sum(path.stat().st_size for path in written)
    pages = sum(path.suffix == ".html" for path in written)
    print(f"wrote {counted(pages, 'page')} in {out} ({size_text(size)}); open {out / 'index.html'}")

"""Write the pages that come from the code and from ``results/`` before Sphinx reads its sources.

They lie in ``docs/generated``, which git ignores. A page that has not changed keeps its time, so that Sphinx reads it
once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import interface
import reference
import results_pages

from vitmem.registry import REGISTRIES
from vitmem.reports.glossary import glossary
from vitmem.row_schema import row_schema


def pages() -> dict[str, Callable[[], str]]:
    """Return what makes each page, by its name in the folder."""
    found: dict[str, Callable[[], str]] = {
        "suite.md": reference.suite,
        "command_line.md": reference.command_line,
        "row.md": interface.row,
        "row.schema.json": lambda: json.dumps(row_schema(), indent=1),
        "python.md": interface.python,
        "glossary.md": glossary,
        "results.md": results_pages.landing,
    }
    found |= {f"{kind}.md": partial(reference.entries, kind) for kind in REGISTRIES}
    for name in results_pages.suites():
        found[f"suites/{name}.md"] = partial(results_pages.suite, name)
        found[f"suites/{name}_tables.md"] = partial(results_pages.tables, name)
    return found


def write(folder: Path) -> None:
    """Write every page that has changed, and delete those that nothing makes."""
    made = pages()
    for path in [path for path in folder.rglob("*.*") if str(path.relative_to(folder)) not in made]:
        path.unlink()
    for name, text in made.items():
        path, new = folder / name, text() + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != new:
            path.write_text(new)


def setup(app: Any) -> dict[str, Any]:
    """Write the pages when a build begins."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "generated"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Pages of the results: those in ``results/``, and all tables of each suite."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
RESULTS, PAGES = ROOT / "results", ROOT / "docs" / "generated"
# Larger tables are linked as files: a browser takes seconds for them, and nobody reads them there.
LARGEST = 60_000
LINK = re.compile(r"(!?\[[^\]]*\])\(([^()#:\s]*)(#[^()\s]*)?\)")
MARK = re.compile(r"<!-- (?:include .*?|end) -->\n")
HTML = MarkdownIt("commonmark").enable("table")


def suites() -> list[str]:
    """Return the names of the suites with a page."""
    return sorted(page.parent.name for page in RESULTS.glob("*/README.md"))


def landing() -> str:
    """Return the page of all results, with the pages of the suites below it."""
    tree = ["```{toctree}", ":hidden:", "", *(f"suites/{name}" for name in suites()), "```"]
    return "\n".join([_moved(RESULTS / "README.md", PAGES), *tree])


def suite(name: str) -> str:
    """Return the page of one suite, with that of its tables below it."""
    tree = ["```{toctree}", ":hidden:", "", f"{name}_tables", "```"]
    return "\n".join([_moved(RESULTS / name / "README.md", PAGES / "suites"), *tree])


def tables(name: str) -> str:
    """Return every table of one suite; they are HTML already, which Sphinx reads much faster than markdown."""
    lines = [f"# Tables of {name}", "", "From its rows, by `vitmem tables`."]
    for table in sorted((RESULTS / name).glob("tables/*.md")):
        lines += ["", f"## {table.stem}", "", *_table(table)]
    return "\n".join(lines)


def _table(table: Path) -> Iterator[str]:
    link = f"[{table.name}](path:{os.path.relpath(table, PAGES / 'suites')})"
    if table.stat().st_size > LARGEST:
        yield f"The table has {len(table.read_text().splitlines()):,} lines: {link}."
        return
    html = HTML.render(LINK.sub(lambda match: match[1][1:-1] if "glossary" not in match[2] else "", table.read_text()))
    html = html.replace("<table>", '<div class="table-wrapper"><table class="docutils">')
    yield from ("```{raw} html", html.replace("</table>", "</table></div>"), "```")
    yield f"{link}, [columns and rules](../glossary.md#{table.stem})"


def _moved(page: Path, folder: Path) -> str:
    """Return the text of ``page`` with its links as those of a page in ``folder``."""

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = (page.parent / target).resolve().relative_to(RESULTS)
        if path.parts[1:2] == ("tables",):
            return f"{label}({_to(PAGES / 'suites' / f'{path.parts[0]}_tables.md', folder)}#{path.stem})"
        if path.name == "README.md":
            moved = PAGES / ("suites" if path.parent.name else "") / f"{path.parent.name or 'results'}.md"
        elif path.name == "glossary.md":
            moved = PAGES / "glossary.md"
        else:
            return f"{label}({'' if label[0] == '!' else 'path:'}{_to(RESULTS / path, folder)})"
        return f"{label}({_to(moved, folder)}{anchor})"

    return LINK.sub(link, MARK.sub("", page.read_text()))


def _to(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()

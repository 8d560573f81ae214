"""A page of the tables and figures of each suite with committed rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
# Larger tables are linked as files: a browser takes seconds for them, and nobody reads them there.
LARGEST = 60_000
GLOSSARY = re.compile(r"\n*\[What the columns and the rules are\]\([^)]*\)\n*$")


def suites() -> list[str]:
    """Return the names of the suites with committed tables."""
    return sorted(path.parent.name for path in (ROOT / "results").glob("*/tables"))


def page(name: str) -> str:
    """Return the page of one suite, in markdown; its tables are HTML already, which is read much faster."""
    folder = ROOT / "results" / name
    file = ROOT / "configs" / "suites" / f"{name}.yaml"
    about = yaml.safe_load(file.read_text()).get("about", "") if file.is_file() else ""
    lines = [f"# {name}", "", about, "", f"From the rows of `results/{name}/rows.jsonl`, by `vitmem tables`."]
    if file.is_file():
        lines += [f"The suite is [`configs/suites/{name}.yaml`](path:../../../configs/suites/{name}.yaml)."]
    for figure in sorted(folder.glob("figures/*.png")):
        lines += ["", f"![{figure.stem} of {name}](../../../results/{name}/figures/{figure.name})"]
    for table in sorted(folder.glob("tables/*.md")):
        lines += ["", f"## {table.stem}", "", *_table(table)]
    return "\n".join(lines)


def _table(table: Path) -> Iterator[str]:
    link = f"[{table.name}](path:../../../{table.relative_to(ROOT)})"
    rules = f"[columns and rules](../glossary.md#{table.stem})"
    if table.stat().st_size > LARGEST:
        yield f"The table has {table.read_text().count(chr(10))} lines: {link}; {rules}."
        return
    text = GLOSSARY.sub("", table.read_text())
    html = MarkdownIt("commonmark").enable("table").render(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))
    html = html.replace("<table>", '<div class="table-wrapper"><table class="docutils">')
    yield from ("```{raw} html", html.replace("</table>", "</table></div>"), "```", "", f"{link}, {rules}")


def index() -> str:
    """Return the page that lists them."""
    lines = ["# Every table and figure", "", "```{toctree}", ":maxdepth: 1", ""]
    return "\n".join([*lines, *(f"suites/{name}" for name in suites()), "```"])

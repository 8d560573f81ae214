"""Tables inside documents: ``vitmem tables`` puts a table's file, or a list of a folder, between two marks.

The documents are the README beside the results, those in the results and the markdown files of ``docs``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from vitmem.errors import InputError
from vitmem.files import read_text, short_name, write_text, writing
from vitmem.registry import TABLES
from vitmem.reports.pages import new_pages

# A link to a place relative to its file.
LINK = re.compile(r"\]\(([^()#:\s/][^()#:\s]*)(?=[#)])")
MARK = "<!-- include "
INCLUDE = re.compile(rf"({MARK}([^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def included(text: str, document: Path, results: Path) -> str:
    """Return the ``text`` of ``document`` with every include filled from a file or folder (empty when missing).

    Paths of includes are relative to the folder that ``results`` is in; links in an included file become relative to
    the document. Raises InputError for a path outside of this folder, after resolving links.
    """
    root = results.absolute().parent

    def fill(match: re.Match[str]) -> str:
        path = root / match[2]
        if not any(_inside(path, place) for place in (root, results, document.parent)):
            raise InputError(
                f"{short_name(document)}: include {short_name(match[2])}: expected a file below {short_name(root)}, "
                "got one outside it"
            )
        place = path if path.is_dir() else path.parent
        way = quote(posixpath.relpath(place.as_posix(), document.absolute().parent.as_posix()))
        content = LINK.sub(lambda link: f"]({posixpath.normpath(f'{way}/{link[1]}')}", _content(path))
        return match[1] + content + match[3]

    return INCLUDE.sub(fill, text)


def _content(path: Path) -> str:
    """Return the text of a file; of a folder, its figures as images and its tables as links with a line each."""
    if path.is_dir():
        figures = [f"![{figure.stem}]({quote(figure.name)})\n" for figure in sorted(path.glob("*.png"))]
        known = [(table.stem, entry) for table in sorted(path.glob("*.md")) if (entry := TABLES.known(table.stem))]
        return "\n".join(figures) + "".join(f"- [{name}]({name}.md): {entry.summary}\n" for name, entry in known)
    return read_text(path, "a table").strip() + "\n" if path.exists() else ""


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # a loop of links, a null byte
        return False


def write_documents(results: Path, suite: str | None = None) -> list[Path]:
    """Write the missing pages of all suites, or of one, and fill the includes of all documents, atomically.

    Returns the documents that changed. What stands outside the marks of an existing document is never changed.
    """
    written = []
    for path, text in _changed(results, suite):
        with writing(path):
            write_text(path, text)
        written.append(path)
    return written


def check_documents(results: Path, suite: str | None = None) -> list[Path]:
    """Return the documents of which an include differs from its file, and the missing pages."""
    return [path for path, _ in _changed(results, suite)]


def _changed(results: Path, suite: str | None) -> Iterator[tuple[Path, str]]:
    for path, text in new_pages(results, suite):
        yield path, included(text, path, results)
    for path in documents(results):
        if MARK.encode() in path.read_bytes():
            old = read_text(path, "a document")
            new = included(old, path, results)
            if new != old:
                yield path, new


def documents(results: Path) -> list[Path]:
    """Return the README beside ``results``, those in it and in the folders of its suites, and those of ``docs``."""
    root = results.absolute().parent
    found = [root / "README.md", results / "README.md", *sorted(results.glob("*/README.md"))]
    return [path for path in (*found, *sorted((root / "docs").rglob("*.md"))) if path.is_file()]

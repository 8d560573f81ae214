"""Tables inside a document: ``vitmem tables`` puts a table's file between two marks."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vitmem.errors import InputError
from vitmem.files import read_text, short_name, write_text, writing

# A link from a table to a path above its folder, which has another relative path from the document.
UPWARDS = re.compile(r"\]\((\.\./[^)#]+)")
INCLUDE = re.compile(r"(<!-- include (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def included(document: str, root: Path) -> str:
    """Return ``document`` with every include filled from a file below ``root`` (empty when missing).

    Raises InputError for a file outside ``root``, after resolving links.
    """

    def fill(match: re.Match[str]) -> str:
        path = root / match[2]
        if not _inside(path, root):
            raise InputError(
                f"{short_name(root)}/README.md: include {short_name(match[2])}: expected a file below "
                f"{short_name(root)}, got one outside it"
            )
        text = read_text(path, "a table").strip() + "\n" if path.exists() else ""
        folder = PurePosixPath(match[2]).parent
        return match[1] + UPWARDS.sub(lambda link: f"]({posixpath.normpath(folder / link[1])}", text) + match[3]

    return INCLUDE.sub(fill, document)


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # a loop of links, a null byte
        return False


def write_documents(results: Path) -> list[Path]:
    """Fill the includes of the README beside ``results``, atomically, and return it if it changes."""
    written = []
    for path, text in _changed(results):
        with writing(path):
            write_text(path, text)
        written.append(path)
    return written


def check_documents(results: Path) -> list[Path]:
    """Return the README beside ``results`` if an include of it differs from its file."""
    return [path for path, _ in _changed(results)]


def _changed(results: Path) -> Iterator[tuple[Path, str]]:
    readme = results.absolute().parent / "README.md"
    if readme.is_file():
        old = read_text(readme, "a document")
        new = included(old, readme.parent)
        if new != old:
            yield readme, new

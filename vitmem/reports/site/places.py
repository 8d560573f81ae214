"""Where the documents of a folder of results stand in its site, and what their links become. Does not import torch."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from vitmem.reports.documents import INCLUDE

README, INDEX = "README.md", "index.html"
# Files that a document may show or link beside documents: they are copied into the site.
COPIED = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp", ".csv", ".tex", ".pdf", ".yaml")


@dataclass(frozen=True)
class Drawn:
    """A figure of the site: the path of its file from the site's root, and its texts.

    ``size`` is width and height in pixels, ``None`` if it was not drawn for the site.
    """

    path: str
    caption: str
    alternative: str
    size: tuple[int, int] | None = None


@dataclass
class Places:
    """The pages and figures of a site, by the paths of their documents and images in ``results``.

    Addresses are paths with "/" from the root of the site, which has the layout of ``results``. ``copied`` collects the
    files of ``results`` that pages show or link.
    """

    results: Path
    pages: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Drawn] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)

    def address(self, href: str, document: str, page: str) -> str | None:
        """Return the address on ``page`` of what ``document`` links as ``href``; ``None`` if it is not in the site."""
        parts = urlsplit(href)
        if parts.scheme or parts.netloc or not parts.path:
            return href
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        path = self.below(posixpath.join(posixpath.dirname(document), unquote(parts.path)))
        found = None if path is None else self.pages.get(path, self.pages.get(posixpath.join(path, README)))
        if path is not None and found is None:
            figure = self.figures.get(posixpath.splitext(path)[0])
            found = figure.path if figure is not None else self._copied(path)
        return None if found is None else way(found, page) + anchor

    def figure(self, source: str, words: str, document: str) -> Drawn | None:
        """Return the figure that ``document`` shows from ``source``, with the text ``words``; ``None`` without it."""
        parts = urlsplit(source)
        if parts.scheme or parts.netloc:
            return None
        path = self.below(posixpath.join(posixpath.dirname(document), unquote(parts.path)))
        if path is None:
            return None
        drawn = self.figures.get(posixpath.splitext(path)[0])
        if drawn is not None:
            return replace(drawn, alternative=" ".join(filter(None, (words, drawn.alternative))))
        copied = self._copied(path)
        return None if copied is None else Drawn(copied, words, words)

    @staticmethod
    def included(path: str) -> str:
        """Return the path in the results of an include, which begins with the folder of the results, whatever its name.

        That of this folder itself is ``"."``.
        """
        return posixpath.normpath(path).partition("/")[2] or "."

    def asked(self, text: str) -> list[str]:
        """Return the paths in ``results`` of the includes of a document, in their order."""
        return [self.included(match[2]) for match in INCLUDE.finditer(text)]

    @staticmethod
    def below(path: str) -> str | None:
        """Return ``path`` without dots, ``None`` outside of the results."""
        plain = posixpath.normpath(path)
        return None if plain.startswith(("../", "/")) or plain == ".." else plain

    def _copied(self, path: str) -> str | None:
        """Return ``path`` if it is a file that the site takes over, which it is told to."""
        try:
            file = (self.results / path).resolve()
            inside = file.is_relative_to(self.results.resolve()) and file.is_file()
        except (OSError, ValueError):  # a loop of links, a null byte
            return None
        if not inside or file.suffix.lower() not in COPIED:
            return None
        self.copied.add(path)
        return path


def way(path: str, page: str) -> str:
    """Return the relative address of ``path``, a path from the site's root or with an anchor, on ``page``."""
    place, sign, anchor = path.partition("#")
    return quote(posixpath.relpath(place, posixpath.dirname(page) or ".")) + sign + anchor


def root(page: str) -> str:
    """Return the address of the site's root on ``page``: nothing, or ``../`` for each of its folders."""
    return "../" * page.count("/")

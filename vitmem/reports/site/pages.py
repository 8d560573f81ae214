"""The templates of the site, and the folder that pages are written to. Does not import torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vitmem.files import write_text, write_whole, writing
from vitmem.reports.escape import one_line_of
from vitmem.reports.site.places import Drawn, root
from vitmem.reports.site.shown import FACETS

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = (TEMPLATES / "site.css", TEMPLATES / "site.js", Path(__file__).parents[1] / "templates" / "sort.js")


class Pages:
    """Pages in the folder ``out``, which is the root of their paths; ``written`` are those of all its files."""

    def __init__(self, out: Path) -> None:
        """Read the templates."""
        self.out = out
        self.written: list[Path] = []
        self.templates = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self.templates.filters |= {"line": one_line_of, "broken": broken}
        self.templates.globals["facets"] = FACETS
        self.macros: Any = self.templates.get_template("parts.html").module

    def assets(self) -> None:
        """Write the style and the scripts of all pages."""
        for asset in ASSETS:
            self._put(asset.name, asset.read_text(encoding="utf-8"))

    def write(self, page: str, template: str, **context: Any) -> None:
        """Write ``page`` from ``template``; raises InputError or DiskFullError when it cannot be written."""
        self._put(page, self.templates.get_template(template).render(root=root(page), page=page, **context))

    def copy(self, source: Path, path: str) -> None:
        """Write a copy of ``source`` to ``path``; raises as ``write`` does."""
        with writing(self.out / path):
            write_whole(self.out / path, partial(shutil.copyfile, source))
        self.written.append(self.out / path)

    def part(self, macro: str, *arguments: Any) -> Markup:
        """Return what a macro of ``parts.html`` makes of ``arguments``."""
        return Markup(getattr(self.macros, macro)(*arguments))

    def drawn(self, figures: Iterable[Drawn], page: str) -> Markup:
        """Return ``figures`` for ``page``."""
        return Markup("").join(self.part("drawn", figure, root(page)) for figure in figures)

    def _put(self, page: str, text: str) -> None:
        path = self.out / page
        with writing(path):
            write_text(path, text.encode(errors="backslashreplace").decode())
        self.written.append(path)


def broken(name: str) -> Markup:
    """Return ``name`` with places after its underscores where a line may break."""
    return Markup(escape(one_line_of(name)).replace("_", Markup("_<wbr>")))

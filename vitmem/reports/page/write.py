"""Write a page and its figures. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vitmem.reports.page.draw import inline_svg, settle, write_drawing
from vitmem.reports.page.material import Drawing, Material
from vitmem.reports.page.sections import sections

TEMPLATES = Path(__file__).parent / "templates"


def write_page(material: Material, out: Path) -> list[Path]:
    """Write ``<suite>.html`` to ``out``, and every figure of it as SVG and PNG to ``<suite>/``; return the paths.

    The same material gives the same bytes. Raises InputError when two rows are the same cell and seed.
    """
    folder = out / material.suite
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def figure(drawing: Drawing) -> Markup:
        settle(drawing.figure)
        written.extend(write_drawing(drawing, folder))
        return Markup(inline_svg(drawing))

    page = _templates().get_template("page.html")
    text = page.render(suite=material.suite, about=material.report.about, sections=sections(material), figure=figure)
    path = out / f"{material.suite}.html"
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return [path, *written]


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["style"] = Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))
    environment.globals["script"] = Markup((TEMPLATES / "page.js").read_text(encoding="utf-8"))
    return environment

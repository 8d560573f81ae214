"""Write a page and its figures. No torch."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from vitmem.files import write_text, writing
from vitmem.reports.drawing import write_figure
from vitmem.reports.page.material import Drawing, Material
from vitmem.reports.page.sections import sections
from vitmem.reports.page.top import results
from vitmem.reports.style import STYLE

DPI = 150
TEMPLATES = Path(__file__).parent / "templates"
SORTING = Path(__file__).parents[1] / "templates" / "sort.js"


def write_page(material: Material, out: Path) -> list[Path]:
    """Write ``<suite>.html`` to ``out``, and every figure of it as SVG and PNG to ``<suite>/``; return the paths.

    Equal material gives equal bytes; files are written atomically. Raises InputError when two rows are the same cell
    and seed, and InputError or DiskFullError when a file cannot be written.
    """
    folder = out / material.suite
    written: list[Path] = []

    def figure(drawing: Drawing) -> str:
        _settle(drawing.figure)
        svg, png = write_figure(drawing.figure, folder / drawing.name, DPI)
        written.extend((svg, png))
        return embedded(svg.read_text(encoding="utf-8"))

    page = _templates().get_template("page.html")
    with matplotlib.rc_context({"text.parse_math": False}):  # a dollar in a name is a dollar
        parts = sections(material)
    facts = material.report.about.removeprefix(f"{material.suite}: ")
    about = {"about": material.purpose, "facts": facts, "results": results(material)}
    text = page.render(suite=material.suite, sections=parts, figure=figure, **about)
    path = out / f"{material.suite}.html"
    with writing(path):
        write_text(path, text)
    return [path, *written]


def _settle(figure: Figure) -> None:
    """Solve the layout of ``figure`` once, because it is written twice."""
    with matplotlib.rc_context(STYLE):
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
    figure.set_layout_engine("none")


def embedded(svg: str) -> Markup:
    """Return an SVG as a data URI for an attribute in single quotes, without comments and white space between lines."""
    text = " ".join(line.strip() for line in re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL).splitlines())
    for letter in "%#'&":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return Markup(f"data:image/svg+xml,{text}")


def breaks(text: str) -> Markup:
    """Return ``text`` escaped, with places where a narrow cell may break a long name."""
    return Markup(re.sub(r"(?<=\w)([=+/_]|\.(?!\d))(?=\w)", r"\1<wbr>", str(escape(text))))


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["breaks"] = breaks
    environment.globals["style"] = Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))
    scripts = (SORTING, TEMPLATES / "page.js")
    environment.globals["script"] = Markup("\n".join(path.read_text(encoding="utf-8") for path in scripts))
    return environment

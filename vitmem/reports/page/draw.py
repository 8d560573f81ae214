"""A figure as SVG inside a page, and as SVG and PNG files for papers; the same rows give the same bytes. No torch."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from vitmem.reports.drawing import write_figure
from vitmem.reports.page.material import Drawing
from vitmem.reports.style import STYLE

DPI = 150
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Text stays text in the page (it can be searched and read aloud); in the files it is paths, the same in every program.
INLINE: Any = {"svg.fonttype": "none"}
REFERENCE = re.compile(r"""(?:url\(#|xlink:href="#|href="#)([^)"]+)""")
ID = re.compile(r' id="([^"]+)"')


def inline_svg(drawing: Drawing) -> str:
    """Return the figure as an ``svg`` element with its alternative as description and ids of its own."""
    with matplotlib.rc_context({**STYLE, **INLINE, "svg.hashsalt": drawing.name}):
        text = _svg(drawing.figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", rf"font: \1 {html.escape(FONT)}", text)
    used = set(REFERENCE.findall(text))
    # what nothing refers to would stand in the page once a figure, and an id may stand there once
    text = ID.sub(lambda match: f' id="{_own(drawing, match[1])}"' if match[1] in used else "", text)
    text = re.sub(r"(url\(#|href=\"#)([^)\"]+)", lambda match: match[1] + _own(drawing, match[2]), text)
    title, words = (f"{drawing.name}-{part}" for part in ("title", "words"))
    width = round(96 * drawing.figure.get_figwidth())
    head = f'<svg role="img" aria-labelledby="{title}" aria-describedby="{words}" style="--width: {width}px"'
    labels = f'<title id="{title}">{html.escape(drawing.caption.split(". ")[0])}</title>'
    labels += f'<desc id="{words}">{html.escape(drawing.alternative)}</desc>'
    body = text.removeprefix("<svg")
    end = body.index(">") + 1
    return head + body[:end] + labels + re.sub(r"\n\s*", "\n", body[end:])


def write_drawing(drawing: Drawing, folder: Path) -> list[Path]:
    """Write ``<name>.svg`` and ``<name>.png`` to ``folder`` and return their paths."""
    with matplotlib.rc_context(STYLE):
        return write_figure(drawing.figure, folder / drawing.name, DPI)


def settle(figure: Figure) -> None:
    """Solve the layout of ``figure`` once: it is written three times."""
    with matplotlib.rc_context(STYLE):
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
    figure.set_layout_engine("none")


def _own(drawing: Drawing, id: str) -> str:
    return f"{drawing.name}-{id}"


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()

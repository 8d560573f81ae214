"""The sections of a page, in order: functions of the material that return None if empty. Does not import torch."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from vitmem.registry import TABLES
from vitmem.reports.page.accounts import costs, environments, total
from vitmem.reports.page.cells import cells
from vitmem.reports.page.curves import training_curves
from vitmem.reports.page.gallery import gallery_of
from vitmem.reports.page.heat import heat_maps
from vitmem.reports.page.material import Drawing, Material, Panels, Part, Section, sentence
from vitmem.reports.page.pareto import pareto
from vitmem.reports.page.strength import strength_curves
from vitmem.reports.page.tabled import tabled
from vitmem.reports.render import Table

# Number of open figures of one kind; further ones are folded, because suites have many trainings.
OPEN = 3
# Tables with their own sections; the others are shown with the figure of the same name, or together.
APART = ("chosen", "facts", "front", "sweep")
# Figures beside the chosen settings; the page draws memorized against validation itself.
AT_A_GLANCE, ELSEWHERE = ("methods", "verdict"), ("tradeoff",)


def _title(name: str) -> str:
    """Return the heading of the table ``name``."""
    return TABLES.get(name).title or name


def headline(material: Material) -> Section | None:
    """Return the table of the chosen settings, and the figures beside it."""
    table = material.tables.get("chosen")
    if table is None:
        return Section(
            "headline", "Results", (sentence("No cell of an unedited model is finished: nothing is chosen."),)
        )
    drawn = [drawing for name in AT_A_GLANCE if (drawing := material.figures.get(name)) is not None]
    return Section("headline", "Results", (_table(table), *_figures(drawn)))


def fronts(material: Material) -> Section | None:
    """Return measures against validation, and the table of the fronts."""
    parts = _panels(pareto(material))
    if "front" in material.tables:
        parts.append(_table(material.tables["front"], _title("front")))
    return Section("pareto", "Pareto fronts", tuple(parts)) if parts else None


def strengths(material: Material) -> Section | None:
    """Return the measures along the change of the weights."""
    parts = _panels(strength_curves(material))
    return Section("strength", "Strength", tuple(parts)) if parts else None


def heat(material: Material) -> Section | None:
    """Return the heat maps, those of the first method of the first training open."""
    maps, left_out = heat_maps(material)
    parts = []
    for n, panels in enumerate(maps):
        parts.append(Part("panels", panels, panels[0].title, folded=n > 0))
    if parts and left_out:
        parts.append(
            sentence(
                f"Drawn are all methods of the first training, of the others K-FAC or their first one; the outcomes "
                f"of the {left_out} other pairs of training and method are in the table of all settings."
            )
        )
    return Section("heat", "Blocks, layers and strength", tuple(parts)) if parts else None


def figures(material: Material) -> Section | None:
    """Return the other figures, each with the table of its name."""
    parts = []
    for name, drawing in material.figures.items():
        if name not in (*AT_A_GLANCE, *ELSEWHERE):
            parts += _figures([drawing])
            if name in material.tables:
                parts.append(_table(material.tables[name], _title(name), folded=True))
    return Section("figures", "What else is seen", tuple(parts)) if parts else None


def comparisons(material: Material) -> Section | None:
    """Return the tables without a figure."""
    drawn = material.figures.keys() - {*AT_A_GLANCE}
    tables = {name: table for name, table in material.tables.items() if name not in {*APART, *drawn}}
    parts = [_table(table, _title(name), folded=True) for name, table in tables.items()]
    return Section("comparisons", "Methods beside each other", tuple(parts)) if parts else None


def training(material: Material) -> Section | None:
    """Return the training curves, or the reason why there are none."""
    parts = _panels(training_curves(material)) or [sentence(material.missing["curves"])]
    return Section("training", "Training", tuple(parts))


def gallery(material: Material) -> Section | None:
    """Return images with their labels before and after, or the reason why there are none."""
    parts = [
        Part("gallery", gallery_of(pictures), pictures.about, folded=n > 1)
        for n, pictures in enumerate(material.pictures)
    ]
    return Section("gallery", "Images", tuple(parts or [sentence(material.missing["pictures"])]))


def cost(material: Material) -> Section | None:
    """Return the costs of all cells and of each method."""
    table = costs(material.report)
    if not table.rows:
        return None
    return Section(
        "cost", "Cost", (sentence(total(material.rows)), _table(table, "By method", folded=len(table.rows) > 12))
    )


def environment(material: Material) -> Section | None:
    """Return counts of cells, devices and versions."""
    table, facts = environments(material.report, material.rows), material.tables.get("facts")
    first = Part("list", material.report.footer) if facts is None else _table(facts, _title("facts"))
    parts = [first, *([_table(table, "By stage")] if table.rows else [])]
    return Section("environment", "Environment", tuple(parts))


def settings(material: Material) -> Section | None:
    """Return the table of all settings over their seeds."""
    table = material.tables.get("sweep")
    if table is None:
        return None
    return Section("settings", "All settings", (_table(table, f"{len(table.rows)} settings", folded=True),))


def again(material: Material) -> Section | None:
    """Return every cell with its command."""
    table, reruns = cells(material)
    about = (
        "The command of a cell trains, collects and edits it anew, into folders of their own, and leaves the rows as "
        "they are; add the --data-dir, --device and --plugin of the first run. The whole suite: vitmem run "
        f"{shlex.quote(material.file)}"
    )
    parts = [sentence(about)]
    if material.source is not None:
        parts.append(Part("code", material.source, material.file, folded=True))
    title = f"{len(reruns)} cells"
    parts.append(Part("cells", (tabled(table), reruns), title, folded=True))
    return Section("cells", "Run again", tuple(parts))


SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    headline, figures, fronts, strengths, heat, comparisons, training, gallery, cost, environment, settings, again,
)  # fmt: skip


def sections(material: Material) -> list[Section]:
    """Return the non-empty sections of ``material``."""
    made = [section for make in SECTIONS if (section := make(material)) is not None]
    parts = [part for section in made for part in section.parts]
    _name_apart([part.content for part in parts if part.kind == "figures"])
    _name_apart([panels.drawings for part in parts if part.kind == "panels" for panels in part.content])
    return made


def _name_apart(lists: Sequence[list[Drawing]]) -> None:
    """Give drawings with equal file names (``a b``, ``A-b``) distinct ones."""
    seen: Counter[str] = Counter()
    for drawings in lists:
        for n, drawing in enumerate(drawings):
            seen[drawing.name] += 1
            if seen[drawing.name] > 1:
                drawings[n] = replace(drawing, name=f"{drawing.name}--{seen[drawing.name]}")


def _table(table: Table, title: str = "", folded: bool = False) -> Part:
    return Part("table", tabled(table), title, folded)


def _figures(drawings: Sequence[Drawing]) -> list[Part]:
    """Return the first drawings open, and the others folded."""
    parts = [Part("figures", list(drawings[:OPEN]))] if drawings else []
    if len(drawings) > OPEN:
        parts.append(Part("figures", list(drawings[OPEN:]), f"{len(drawings) - OPEN} more", folded=True))
    return parts


def _panels(found: Sequence[Panels]) -> list[Part]:
    """Return the first panels open, and the others folded."""
    parts = [Part("panels", [panels], panels.title) for panels in found[:OPEN]]
    if len(found) > OPEN:
        parts.append(Part("panels", list(found[OPEN:]), f"{len(found) - OPEN} more", folded=True))
    return parts

"""The sections of a page, in order: each is one function of the material that leaves itself out as None. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vitmem.reports.figures import COLOURS
from vitmem.reports.page.accounts import costs, environments, total
from vitmem.reports.page.cells import cells
from vitmem.reports.page.curves import training_curves
from vitmem.reports.page.gallery import shown_pictures
from vitmem.reports.page.heat import heat_maps
from vitmem.reports.page.look import in_words, slug
from vitmem.reports.page.material import Drawing, Material, Part, Section, sentence
from vitmem.reports.page.pareto import pareto
from vitmem.reports.page.strength import strength_curves
from vitmem.reports.page.tabled import tabled
from vitmem.reports.render import Table
from vitmem.reports.skill_figure import skill_figure

# Figures of one kind beyond this many are folded: one a training, and suites have many.
OPEN = 3
# Tables with sections of their own; the others stand together.
APART = ("chosen", "front", "skills", "sweep")
TITLES = {
    "matched": "At the same loss of accuracy",
    "change": "At the same change of the weights",
    "comparison": "Against K-FAC, item by item",
    "relearning": "What comes back when training goes on",
    "bands_removed": "Where in the spectrum the memory sits",
    "recitation": "What is recited, and at what cost",
}


def headline(material: Material) -> Section | None:
    """Return the table of the chosen settings with all its notes."""
    table = material.tables["chosen"]
    if not table.rows:
        return Section(
            "headline", "Results", (sentence("No cell of an unedited model is finished: nothing is chosen."),)
        )
    return Section("headline", "Results", (_table(table, notes_open=True),))


def fronts(material: Material) -> Section | None:
    """Return measures against validation, and the table of the fronts."""
    drawings = pareto(material)
    parts = _figures(drawings)
    if "front" in material.tables:
        parts.append(_table(material.tables["front"], "Settings on the front, and the volume that they dominate"))
    return Section("pareto", "Pareto fronts", tuple(parts)) if parts else None


def strengths(material: Material) -> Section | None:
    """Return the measures along the change of the weights."""
    parts = _figures(strength_curves(material))
    return Section("strength", "Strength", tuple(parts)) if parts else None


def heat(material: Material) -> Section | None:
    """Return the heat maps, those of the first method of the first training open."""
    found = heat_maps(material)
    parts = []
    for n, drawings in enumerate(found):
        title = drawings[0].caption.split(". ")[0]
        parts.append(Part("figures", drawings, title, folded=n > 0))
    return Section("heat", "Blocks, layers and strength", tuple(parts)) if parts else None


def skill(material: Material) -> Section | None:
    """Return what is left of each family of questions, for text."""
    report = material.report
    if not report.families or not material.judged:
        return None
    words = " ".join(f"{report.names.training(t)}: {in_words(report, t, ['memorized'])}" for t in material.judged)
    caption = "Skills. What is kept of each family of questions at the chosen settings, and along K-FAC's strength."
    drawing = Drawing(slug("skills"), skill_figure(report, material.judged, COLOURS), caption, words)
    return Section(
        "skills", "Skills", (Part("figures", [drawing]), _table(material.tables["skills"], "Answers by family"))
    )


def comparisons(material: Material) -> Section | None:
    """Return the tables that hold one thing equal between the methods."""
    found = {name: table for name, table in material.tables.items() if name not in APART and table.rows}
    parts = [_table(table, TITLES.get(name, name), folded=True) for name, table in found.items()]
    return Section("comparisons", "Methods beside each other", tuple(parts)) if parts else None


def training(material: Material) -> Section | None:
    """Return the training curves, or why there are none."""
    parts = _figures(training_curves(material)) or [sentence(material.missing["curves"])]
    return Section("training", "Training", tuple(parts))


def gallery(material: Material) -> Section | None:
    """Return images with their labels before and after, or why there are none."""
    parts = [
        Part("gallery", (shown_pictures(found), list(found.predicted)), found.about, folded=n > 0)
        for n, found in enumerate(material.pictures)
    ]
    return Section("gallery", "Images", tuple(parts or [sentence(material.missing["pictures"])]))


def cost(material: Material) -> Section | None:
    """Return what all cells took together, and each method."""
    table = costs(material.report)
    if not table.rows:
        return None
    return Section(
        "cost", "Cost", (sentence(total(material.rows)), _table(table, "By method", folded=len(table.rows) > 12))
    )


def environment(material: Material) -> Section | None:
    """Return counts of cells, devices and versions."""
    table = environments(material.report, material.rows)
    parts = [Part("list", material.report.footer), *([_table(table, "By stage")] if table.rows else [])]
    return Section("environment", "Environment", tuple(parts))


def settings(material: Material) -> Section | None:
    """Return the table of all settings over their seeds."""
    table = material.tables["sweep"]
    title = f"{len(table.rows)} settings"
    return Section("settings", "All settings", (_table(table, title, folded=True),)) if table.rows else None


def again(material: Material) -> Section | None:
    """Return every cell with its command."""
    table, reruns = cells(material)
    about = (
        "The command of a cell trains, collects and edits it anew, into folders of their own, and leaves the rows as "
        "they are; add the --data-dir, --device and --plugin of the first run. The whole suite: vitmem run "
        f"{material.file}"
    )
    parts = [sentence(about)]
    if material.source is not None:
        parts.append(Part("code", material.source, material.file, folded=True))
    title = f"{len(reruns)} cells"
    parts.append(Part("cells", (tabled(table), reruns), title, folded=True))
    return Section("cells", "Run again", tuple(parts))


SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    headline, fronts, strengths, heat, skill, comparisons, training, gallery, cost, environment, settings, again,
)  # fmt: skip


def sections(material: Material) -> list[Section]:
    """Return the sections that ``material`` has something for."""
    return [section for make in SECTIONS if (section := make(material)) is not None]


def _table(table: Table, title: str = "", folded: bool = False, notes_open: bool = False) -> Part:
    return Part("table", (tabled(table), notes_open), title, folded)


def _figures(drawings: Sequence[Drawing]) -> list[Part]:
    """Return the first drawings open, and the others folded."""
    parts = [Part("figures", list(drawings[:OPEN]))] if drawings else []
    if len(drawings) > OPEN:
        parts.append(Part("figures", list(drawings[OPEN:]), f"{len(drawings) - OPEN} more", folded=True))
    return parts

"""The sections of a page, in order: each is one function of the material that leaves itself out as None. No torch."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from vitmem.reports.figures import COLOURS
from vitmem.reports.forest import forest
from vitmem.reports.inside import TABLES as INSIDE
from vitmem.reports.inside_figures import in_words as bands_in_words
from vitmem.reports.inside_figures import inside_figures
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
from vitmem.reports.regime_figure import regime_figure
from vitmem.reports.render import Table
from vitmem.reports.skill_figure import skill_figure
from vitmem.reports.tokens_figure import has_headroom, headroom_figure, tokens_figure

# Figures of one kind beyond this many are folded: one a training, and suites have many.
OPEN = 3
# Tables with sections of their own; the others stand together.
APART = ("chosen", "front", "predictors", "regime", "regime_methods", "skills", "sweep", "tokens", *INSIDE)
REGIME = (
    "Where each method works. In each cell the share of memorized that is gone at no loss of selection accuracy, in "
    "percent, on the report halves: framed where it is at least 60 and validation did not fall, hatched where the base "
    "memorizes too little, a dash where no setting loses nothing. Below, the same against the unedited network."
)
LEADS = {
    "tokens": "How much less each method leaves memorized than the best shrinkage, in points, at no loss of selection "
    "accuracy, on the report halves, by the number of tokens that an image is.",
    "headroom": "The lead of the input side against what the network still does with the edited matrices at zero.",
}
TITLES = {
    "headline": "By what a method is told, paired with K-FAC",
    "metrics": "Metrics of plug-ins",
    "across": "Trainings against methods",
    "matched": "At the same loss of accuracy",
    "cost": "At the same passes over the examples",
    "labelfree": "Chosen without labels",
    "grids": "Whether what was chosen lies inside its grid",
    "change": "At the same change of the weights",
    "comparison": "Against K-FAC, item by item",
    "relearning": "What comes back when training goes on",
    "put_back": "What else comes back with one class",
    "dial": "Putting back what was removed",
    "bands_removed": "Where in the spectrum the memory sits",
    "recitation": "What is recited, and at what cost",
}
INSIDE_TITLES = {
    "bands": "Memorized against other inputs, by band",
    "spectrum": "Effective ranks",
    "curvature": "Whose curvature it is",
    "stability": "How stable the bases are",
    "detection": "Which labels are wrong",
    "learned": "Which images go back, by when they were learned",
}
DRAWN = {
    "bands": "Memorized over other inputs. The part of the squared norm of what enters each layer that lies in a band "
    "of directions, by basis; 1 where the band tells nothing.",
    "spectra": "Spectra. The part of the trace of A, of G and of ‖W‖² that the first directions of each layer hold.",
}


def headline(material: Material) -> Section | None:
    """Return the table of the chosen settings with all its notes."""
    table = material.tables["chosen"]
    if not table.rows:
        return Section(
            "headline", "Results", (sentence("No cell of an unedited model is finished: nothing is chosen."),)
        )
    return Section("headline", "Results", (_table(table, notes_open=True), *_figures(_at_a_glance(material))))


def _at_a_glance(material: Material) -> list[Drawing]:
    """Return the chosen settings as dots with intervals, where there are more methods than a table shows at once."""
    report, judged = material.report, material.judged
    if not judged or max(len(report.methods(training)) for training in judged) <= len(COLOURS):
        return []
    caption = "Each method at its chosen setting; the dotted line is the base."
    words = " ".join(f"{report.names.training(t)}: {in_words(report, t, ['memorized', 'recovered'])}" for t in judged)
    return [Drawing(slug("methods"), forest(report, judged, COLOURS), caption, words)]


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
    found, left_out = heat_maps(material)
    parts = []
    for n, drawings in enumerate(found):
        title = drawings[0].caption.split(". ")[0]
        parts.append(Part("figures", drawings, title, folded=n > 0))
    if parts and left_out:
        parts.append(
            sentence(
                f"Drawn are all methods of the first training and the first method of the others; the outcomes of the "
                f"{left_out} other pairs of training and method are in the table of all settings."
            )
        )
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


def regime(material: Material) -> Section | None:
    """Return the map of where each method works, and what of the unedited network tells it beforehand.

    Of a suite of many ways to train it is what one looks for first.
    """
    if "regime" not in material.tables:
        return None
    table, told = material.tables["regime"], material.tables["predictors"]
    drawing = Drawing(slug("regime"), regime_figure(material.report), REGIME, f"{REGIME} {table.notes[0]}.")
    title = f"{len(table.rows)} settings and methods"
    methods = _table(material.tables["regime_methods"], "By method, over all ways to train")
    parts = [Part("figures", [drawing]), methods, _table(table, title, folded=True)]
    if told.rows:
        parts.append(_table(told, "What of the unedited network tells it beforehand", folded=True))
    return Section("regime", "Where it works", tuple(parts))


def tokens(material: Material) -> Section | None:
    """Return the lead over shrinkage by tokens and by what the edited layers carry."""
    if "tokens" not in material.tables:
        return None
    figures = {"tokens": tokens_figure(material.report, COLOURS)}
    if has_headroom(material.report):
        figures["headroom"] = headroom_figure(material.report, COLOURS)
    parts = _figures([Drawing(slug(name), figure, LEADS[name], LEADS[name]) for name, figure in figures.items()])
    table = _table(material.tables["tokens"], "By training and set of layers", folded=True)
    return Section("tokens", "Curvature against shrinkage, by tokens", (*parts, table))


def comparisons(material: Material) -> Section | None:
    """Return the tables that hold one thing equal between the methods."""
    found = {name: table for name, table in material.tables.items() if name not in APART and table.rows}
    parts = [_table(table, TITLES.get(name, name), folded=True) for name, table in found.items()]
    return Section("comparisons", "Methods beside each other", tuple(parts)) if parts else None


def inside(material: Material) -> Section | None:
    """Return what the analyses found inside the networks."""
    report = material.report
    figures = inside_figures(report)
    words = " ".join(bands_in_words(report, training) for training in material.judged) if "bands" in figures else ""
    parts = _figures(
        [Drawing(slug(name), figure, DRAWN[name], words or DRAWN[name]) for name, figure in figures.items()]
    )
    tables = {name: table for name, table in material.tables.items() if name in INSIDE and table.rows}
    parts += [_table(table, INSIDE_TITLES[name], folded=True) for name, table in tables.items()]
    return Section("inside", "Inside the networks", tuple(parts)) if parts else None


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
        f"{shlex.quote(material.file)}"
    )
    parts = [sentence(about)]
    if material.source is not None:
        parts.append(Part("code", material.source, material.file, folded=True))
    title = f"{len(reruns)} cells"
    parts.append(Part("cells", (tabled(table), reruns), title, folded=True))
    return Section("cells", "Run again", tuple(parts))


SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    regime, tokens, headline, fronts, strengths, heat, skill, comparisons, inside, training, gallery, cost, environment,
    settings, again,
)  # fmt: skip


def sections(material: Material) -> list[Section]:
    """Return the sections that ``material`` has something for."""
    found = [section for make in SECTIONS if (section := make(material)) is not None]
    _name_apart([part for section in found for part in section.parts if part.kind == "figures"])
    return found


def _name_apart(parts: Sequence[Part]) -> None:
    """Give drawings whose names are written alike (``a b``, ``A-b``) files of their own."""
    seen: Counter[str] = Counter()
    for part in parts:
        for n, drawing in enumerate(part.content):
            seen[drawing.name] += 1
            if seen[drawing.name] > 1:
                part.content[n] = replace(drawing, name=f"{drawing.name}--{seen[drawing.name]}")


def _table(table: Table, title: str = "", folded: bool = False, notes_open: bool = False) -> Part:
    return Part("table", (tabled(table), notes_open), title, folded)


def _figures(drawings: Sequence[Drawing]) -> list[Part]:
    """Return the first drawings open, and the others folded."""
    parts = [Part("figures", list(drawings[:OPEN]))] if drawings else []
    if len(drawings) > OPEN:
        parts.append(Part("figures", list(drawings[OPEN:]), f"{len(drawings) - OPEN} more", folded=True))
    return parts

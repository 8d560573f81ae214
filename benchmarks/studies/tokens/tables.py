"""Lead of curvature over shrinkage by training images, tokens per image and what edited layers carry. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, at
from vitmem.reports.choose import GATE, ROUNDING, Choice
from vitmem.reports.columns import MEASURES, METHOD, MODEL, NO_LOSS, SEEDS, SETTING, measured, percent
from vitmem.reports.lead import MEMORIZED, Site, sites
from vitmem.reports.naming import setting, title_of
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

TOKENS, IMAGES = at("counts", "tokens"), at("counts", "train")
# Methods compared with shrinkage, with their defining parameters.
AGAINST: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("kfac", {}),
    ("kfac_input", {}),
    ("kfac", {"side": "G"}),
    ("sap", {}),
    ("random_basis", {"random": "input"}),
    ("random_basis", {"random": "output"}),
)
FAMILIES = {"residual_mlp": "residual MLPs", "mixer": "MLP-Mixer", "vit": "vision transformer"}
BEST = "best shrinkage"
ABLATED = tuple(f"ablated_{name}" for name in MEASURES)
COLUMNS = (
    Column("family", "family"),
    Column("images", "images", "count", "training images"),
    Column("tokens", "tokens", "count", "patches of an image"),
    MODEL,
    Column("layers", "layers", about="those that the edits name"),
    METHOD,
    SETTING,
    SEEDS,
    *percent(),
    Column(
        "lead",
        "lead",
        "change",
        f"memorized under the {BEST} less memorized under the method, in points, paired over the seeds: above 0 the "
        "method takes more out",
    ),
)
NOTES = (
    f"{NO_LOSS}; a method without one counts as the base, unedited",
    f"{BEST}: one choice among all settings of uniform scaling, SVD and random basis (both sides random), which know "
    "nothing of the data",
    f"{title_of('ablate')}: what is left with the edited matrices at zero, of the largest set of blocks that is edited",
)


@dataclass(frozen=True)
class Place:
    """One set of layers of one training, with the words for its network and its sizes."""

    site: Site
    model: str
    data: str
    family: str
    images: int
    tokens: int

    @property
    def judged(self) -> bool:
        """Whether the base passes the gate on memorized."""
        before = self.site.base.estimate(MEMORIZED)
        return before is not None and before.mean >= GATE - ROUNDING


def has_sizes(report: Report) -> bool:
    """Return whether trainings of a suite on the same data differ in their number of images or of tokens per image."""
    sizes = {(place.data, place.images, place.tokens) for place in places(report)}
    return len(sizes) > len({data for data, _, _ in sizes})


def places(report: Report) -> list[Place]:
    """Return the sets of layers of all trainings by family, images, layers and tokens."""
    found = []
    for training in report.trainings:
        for site in sites(training):
            tokens, images = (site.base.estimate(read) for read in (TOKENS, IMAGES))
            if tokens is not None and images is not None and site.shrinkage:
                data, name = (str(training.config[part]["name"]) for part in ("data", "model"))
                sizes = round(images.mean), round(tokens.mean)
                found.append(Place(site, report.names.training(training), data, FAMILIES.get(name, name), *sizes))
    return sorted(found, key=lambda p: (p.family, p.images, p.site.layers is not None, p.site.layers_text, p.tokens))


def contenders(site: Site, drop: float = 0.0) -> Iterator[tuple[Group, Choice]]:
    """Yield each method compared with shrinkage: one of its settings, and its choice; ``drop`` may be lost."""
    for method, parameters in AGAINST:
        groups = site.settings(method, **parameters)
        if groups:
            yield groups[0], site.chosen(groups, drop)


@TABLES.register("tokens", title="By training and set of layers", columns=COLUMNS, notes=NOTES)
def tokens(report: Report) -> Iterator[tuple[Cell, ...]]:
    """How much less each method leaves memorized than the best shrinkage, for each training and set of layers."""
    for place in places(report) if has_sizes(report) else ():
        site = place.site
        head = (place.family, place.images, place.tokens, place.model, site.layers_text)
        yield (*head, title_of("none"), None, *measured(site.base), None)
        best = site.best_shrinkage
        yield (*head, BEST, _setting(report, best, named=True), *measured(site.left(best)), None)
        for first, choice in contenders(site):
            told = (report.names.method(first), _setting(report, choice), *measured(site.left(choice)))
            yield (*head, *told, site.lead(choice))
        if site.ablated is not None:
            yield (*head, title_of("ablate"), None, *measured(site.ablated, ABLATED), None)


def _setting(report: Report, choice: Choice, named: bool = False) -> str:
    if choice.group is None:
        return choice.why
    method = (report.names.method(choice.group),) if named else ()
    return ", ".join([*method, setting(choice.group)])

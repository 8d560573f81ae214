"""Whether curvature leads shrinkage, by how many tokens an image is, and by what the edited layers carry. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vitmem.reports.aggregate import Estimate, Group, at
from vitmem.reports.choose import GATE, ROUNDING, Choice
from vitmem.reports.content import Report
from vitmem.reports.lead import MEMORIZED, Site, sites
from vitmem.reports.naming import setting, title_of
from vitmem.reports.notes import INTERVAL
from vitmem.reports.paired import t_interval
from vitmem.reports.render import Cell, Column, Table

TOKENS, IMAGES = at("counts", "tokens"), at("counts", "train")
# What is set against shrinkage: methods with the parameters that make them what they are.
AGAINST: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("kfac", {}),
    ("kfac_input", {}),
    ("kfac", {"side": "G"}),
    ("sap", {}),
    ("random_basis", {"random": "input"}),
    ("random_basis", {"random": "output"}),
)
FAMILIES = {"residual_mlp": "residual MLPs", "mixer": "MLP-Mixer", "vit": "vision transformer"}
MEASURES = ("memorized", "recovered", "validation")
BEST = "best shrinkage"
COLUMNS = (
    Column("family", "family"),
    Column("images", "images", "count"),
    Column("tokens", "tokens", "count"),
    Column("model", "model"),
    Column("layers", "layers"),
    Column("method", "method"),
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    *(Column(name, name, "percent") for name in MEASURES),
    Column("lead", "lead", "change"),
)
NOTES = (
    "tokens: patches of an image; images: training images; layers: those that the edits name",
    "at no loss: of the settings of a method that lose no selection accuracy, averaged over the seeds, the one under "
    "which memorized falls most on the selection halves, reported on the other halves; a method without one counts as "
    "the base, unedited",
    f"{BEST}: one choice among all settings of uniform scaling, SVD and random basis (both sides random), which know "
    "nothing of the data",
    f"lead: memorized under the {BEST} less memorized under the method, in points, paired over the seeds: above 0 the "
    "method takes more out; the counts above are of trainings and layers whose base memorizes at least "
    f"{100 * GATE:g} %",
    f"{title_of('ablate')}: what is left with the edited matrices at zero, of the largest set of blocks that is edited",
)


@dataclass(frozen=True)
class Place:
    """One set of layers of one training, with the words for its network and its sizes."""

    site: Site
    model: str
    family: str
    images: int
    tokens: int

    @property
    def judged(self) -> bool:
        """Whether the base memorizes enough for there to be something to remove."""
        before = self.site.base.estimate(MEMORIZED)
        return before is not None and before.mean >= GATE - ROUNDING


def has_tokens(report: Report) -> bool:
    """Say whether the networks of a suite make different numbers of tokens of an image."""
    return len({place.tokens for place in places(report)}) > 1


def places(report: Report) -> list[Place]:
    """Return the sets of layers of all trainings by family, images, layers and tokens."""
    found = []
    for training in report.trainings:
        for site in sites(training):
            tokens, images = (site.base.estimate(read) for read in (TOKENS, IMAGES))
            if tokens is not None and images is not None and site.shrinkage:
                name = str(training.config["model"]["name"])
                sizes = round(images.mean), round(tokens.mean)
                found.append(Place(site, report.names.training(training), FAMILIES.get(name, name), *sizes))
    return sorted(found, key=lambda p: (p.family, p.images, p.site.layers is not None, p.site.layers_text, p.tokens))


def contenders(site: Site) -> Iterator[tuple[Group, Choice]]:
    """Yield each method that is set against shrinkage, as any setting of it, with what is chosen of it."""
    for method, parameters in AGAINST:
        groups = site.settings(method, **parameters)
        if groups:
            yield groups[0], site.chosen(groups)


def tokens(report: Report) -> Table:
    """Return, for each training and set of layers, the base, the best shrinkage and each method with its lead."""
    rows: list[tuple[Cell, ...]] = []
    leads: dict[str, dict[int, list[Estimate]]] = {}
    for place in places(report):
        site = place.site
        head = (place.family, place.images, place.tokens, place.model, site.layers_text)
        rows.append((*head, title_of("none"), None, *_measured(site.base), None))
        best = site.best_shrinkage
        rows.append((*head, BEST, _setting(report, best, named=True), *_measured(site.left(best)), None))
        for first, choice in contenders(site):
            name, lead = report.names.method(first), site.lead(choice)
            rows.append((*head, name, _setting(report, choice), *_measured(site.left(choice)), lead))
            if lead is not None and place.judged:
                leads.setdefault(name, {}).setdefault(place.tokens, []).append(lead)
        if site.ablated is not None:
            rows.append((*head, title_of("ablate"), None, *_measured(site.ablated, "ablated_"), None))
    counts = [f"{name}: {_counted(by_tokens)}" for name, by_tokens in leads.items()]
    return Table(report.about, COLUMNS, tuple(rows), (*counts, INTERVAL, *NOTES, *report.told), report.footer)


def _counted(by_tokens: Mapping[int, list[Estimate]]) -> str:
    """Return in how many places the whole interval of the lead lies above 0, and below it, by number of tokens."""
    parts = []
    for count in sorted(by_tokens):
        ends = [t_interval(lead) for lead in by_tokens[count]]
        ahead, behind = sum(e is not None and e[0] > 0 for e in ends), sum(e is not None and e[1] < 0 for e in ends)
        parts.append(f"{ahead} ahead and {behind} behind of {len(ends)} at {count} token{'' if count == 1 else 's'}")
    return f"with the whole interval of the lead, {', '.join(parts)}"


def _setting(report: Report, choice: Choice, named: bool = False) -> str:
    if choice.group is None:
        return choice.why
    method = (report.names.method(choice.group),) if named else ()
    return ", ".join([*method, setting(choice.group)])


def _measured(group: Group, prefix: str = "") -> tuple[Cell, ...]:
    return len(group.rows), *(group.estimate(at("metrics", prefix + name)) for name in MEASURES)

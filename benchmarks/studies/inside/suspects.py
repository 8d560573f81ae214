"""Tables of images: detection of wrong labels by score, and outcomes of memorized images under an edit. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Group, Training, at, estimate
from vitmem.reports.analyses import Line, lines_of, needed_number, number, over_seeds
from vitmem.reports.choose import choose
from vitmem.reports.columns import METHOD, MODEL, SEEDS, SETTING
from vitmem.reports.naming import setting
from vitmem.reports.render import Cell, Column, Kind
from vitmem.reports.report import Report

SCORES = {
    "loss": "loss of the network",
    "margin": "negative margin of the network",
    "cleanlab_self_confidence": "cleanlab, self-confidence",
    "cleanlab_margin": "cleanlab, normalised margin",
}
Found = Mapping[int, Sequence[Line]]
DETECTION_NOTE = (
    "wrong labels of the report half against all clean training images; cleanlab's probabilities are from a logistic "
    "regression on the features of the network in five folds, and flagged is the share of all images that its rule "
    "calls wrong; loss rise: of the given label under the edit, at the setting that the other tables choose"
)

LEARNED_NOTE = (
    "images of the report half whose wrong label the base recites, by the epoch of the training's curves at which they "
    "were first predicted as given, in the first or the second half of the training: how many a seed, and what became "
    "of them under the edit; loss rise: of the given label, mean, nats"
)


DETECTED = {"auroc": "AUROC", "ap": "average precision", "flagged": "flagged"}
HALVES = {"early": "first half", "late": "second half"}
PARTS: Mapping[str, Kind] = {"images": "number", "memorized": "percent", "recovered": "percent", "loss_rise": "number"}


@TABLES.register(
    "detection",
    title="Which labels are wrong",
    columns=(
        MODEL,
        Column("score", "score"),
        SETTING,
        SEEDS,
        *(Column(key, title, "percent") for key, title in DETECTED.items()),
    ),
    notes=(DETECTION_NOTE,),
)
def detection(report: Report) -> Iterator[tuple[Cell, ...]]:
    """How well each score tells wrong labels from right ones."""
    for training in report.trainings if report.analyses.get("detection") else ():
        name, seeds = report.names.training(training), lines_of(training, report.analyses["detection"])
        for score, title in SCORES.items():
            found = {seed: [x for x in some if x["score"] == score] for seed, some in seeds.items()}
            values = [over_seeds(found, partial(number, column=column)) for column in DETECTED]
            if values[0] is not None:
                yield (name, title, None, values[0].n, *values)
        for cells in _rises(report, training) if seeds else ():
            yield (name, *cells)


def _rises(report: Report, training: Training) -> Iterator[tuple[Cell, ...]]:
    """Yield the loss rise under each method with a chosen setting."""
    for method, group in _chosen(report, training):
        auroc = group.estimate(at("metrics", "auroc_loss_rise"))
        if auroc is not None:
            ap = group.estimate(at("metrics", "ap_loss_rise"))
            yield f"loss rise under {method}", setting(group), auroc.n, auroc, ap, None


def _chosen(report: Report, training: Training) -> Iterator[tuple[str, Group]]:
    """Yield each method with a chosen setting, by its name."""
    if training.base is None:
        return
    for groups in report.methods(training):
        group = choose(groups, training.base).group
        if group is not None:
            yield report.names.method(group), group


@TABLES.register(
    "learned",
    title="Which images go back, by when they were learned",
    columns=(
        MODEL,
        METHOD,
        SETTING,
        *(
            Column(f"{part}_{half}", f"{part.replace('_', ' ')}, {title}", kind)
            for half, title in HALVES.items()
            for part, kind in PARTS.items()
        ),
    ),
    notes=(LEARNED_NOTE,),
)
def learned(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Which recited labels go back at each method's chosen setting, by when the training had learned them."""
    for training in report.trainings if report.analyses.get("learned") else ():
        seeds = lines_of(training, report.analyses["learned"])
        for method, group in _chosen(report, training):
            cells = {row["id"] for row in group.rows.values()}
            found = {seed: [x for x in some if x["cell"] in cells] for seed, some in seeds.items()}
            if any(found.values()):
                numbers = [_learned_in(found, half, part) for half in HALVES for part in PARTS]
                yield (report.names.training(training), method, setting(group), *numbers)


def _learned_in(seeds: Found, half: str, part: str) -> Estimate | None:
    """Return the mean over the seeds of ``part`` for the images first learned in one half of the training."""
    values = []
    for some in seeds.values():
        lines = [x for x in some if x["epoch"] != "0" and (_late(x) == (half == "late"))]
        counts = [needed_number(x, "images") for x in lines]
        if part == "images":
            values.append(sum(counts))
        elif sum(counts):
            values.append(sum(n * (number(x, part) or 0.0) for n, x in zip(counts, lines, strict=True)) / sum(counts))
    return estimate(values)


def _late(line: Line) -> bool:
    return 2 * needed_number(line, "epoch") > needed_number(line, "of")

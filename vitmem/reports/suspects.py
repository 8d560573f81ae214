"""Tables of images: which labels are wrong by which score, and which recited ones go back under an edit. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from vitmem.reports.aggregate import Estimate, Training, at, estimate
from vitmem.reports.analyses import Line, lines_of, needed_number, number, over_seeds
from vitmem.reports.choose import choose
from vitmem.reports.content import Report
from vitmem.reports.naming import setting
from vitmem.reports.notes import INTERVAL
from vitmem.reports.render import Cell, Column, Table

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


def detection(report: Report) -> Table:
    """Return how well each score tells wrong labels from right ones."""
    columns = (
        Column("model", "model"),
        Column("score", "score"),
        Column("setting", "setting"),
        Column("seeds", "seeds", "count"),
        Column("auroc", "AUROC", "percent"),
        Column("ap", "average precision", "percent"),
        Column("flagged", "flagged", "percent"),
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        name, seeds = report.names.training(training), lines_of(training, report.analyses["detection"])
        for score, title in SCORES.items():
            found = {seed: [x for x in some if x["score"] == score] for seed, some in seeds.items()}
            values = [over_seeds(found, partial(number, column=column)) for column in ("auroc", "ap", "flagged")]
            if values[0] is not None:
                rows.append((name, title, None, values[0].n, *values))
        rows += [(name, *cells) for cells in _rises(report, training)] if seeds else []
    return Table(report.about, columns, tuple(rows), (INTERVAL, DETECTION_NOTE), report.footer)


def _rises(report: Report, training: Training) -> Iterator[tuple[Cell, ...]]:
    """Yield the loss rise under each method at its chosen setting, where it has one."""
    if training.base is None:
        return
    for groups in report.methods(training):
        group = choose(groups, training.base).group
        auroc = None if group is None else group.estimate(at("metrics", "auroc_loss_rise"))
        if group is not None and auroc is not None:
            ap = group.estimate(at("metrics", "ap_loss_rise"))
            yield f"loss rise under {report.names.method(group)}", setting(group), auroc.n, auroc, ap, None


def learned(report: Report) -> Table:
    """Return which recited labels go back at each method's chosen setting, by when the training had learned them."""
    halves = {"early": "first half", "late": "second half"}
    parts = ("images", "memorized", "recovered", "loss_rise")
    columns = (
        Column("model", "model"),
        Column("method", "method"),
        Column("setting", "setting"),
        *(
            Column(f"{part}_{half}", f"{part.replace('_', ' ')}, {title}", "percent" if n in (1, 2) else "number")
            for half, title in halves.items()
            for n, part in enumerate(parts)
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        seeds = lines_of(training, report.analyses["learned"])
        if training.base is None:
            continue
        for groups in report.methods(training):
            group = choose(groups, training.base).group
            cells = set() if group is None else {row["id"] for row in group.rows.values()}
            found = {seed: [x for x in some if x["cell"] in cells] for seed, some in seeds.items()}
            if group is None or not any(found.values()):
                continue
            numbers = [_learned_in(found, half, part) for half in halves for part in parts]
            rows.append((report.names.training(training), report.names.method(group), setting(group), *numbers))
    return Table(report.about, columns, tuple(rows), (INTERVAL, LEARNED_NOTE), report.footer)


def _learned_in(seeds: Found, half: str, part: str) -> Estimate | None:
    """Return the mean over the seeds of ``part``, over the images first learned in one half of the training."""
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

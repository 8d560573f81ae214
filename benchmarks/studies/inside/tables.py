"""Tables of the analyses of trained networks: bands, spectra, curvature, stability. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate
from vitmem.reports.analyses import Line, lines_of, number, over_seeds
from vitmem.reports.columns import MODEL
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

BANDS = (("0.0", "top 10 %"), ("0.1", "10 to 25 %"), ("0.25", "25 to 50 %"), ("0.5", "bottom 50 %"))
BASES = {"kfac": "K-FAC", "svd": "SVD"}
Found = Mapping[int, Sequence[Line]]
BAND_NOTE = (
    "the part of the squared norm of what enters a layer that lies in a band, mean over memorized examples as a "
    "percentage of that over others trained on: 100 where the band tells nothing; 'norms' are the norms themselves, "
    "which long inputs rule; vectors by the size of their eigenvalue (K-FAC: of A) or singular value (SVD: of W)"
)
RANK_NOTE = (
    "effective rank: exp of the entropy of the eigenvalues of A and G and of the singular values of W (Roy and "
    "Vetterli 2007), as a percentage of the full rank; first 10 %: the part of the trace (of ‖W‖² for W) in the first "
    "tenth of the directions"
)
CURVATURE_NOTES = (
    "own: the part of the trace of the Fisher (labels drawn from the network) that the wrongly labelled images own; "
    "given: the same under the labels that were trained on",
    "gradient: mean ‖∇W‖² of a memorized example as a percentage of that of another; along: the curvature of all "
    "examples along its gradient, medians, as a percentage likewise: below 100 where the memorized ones see a flatter "
    "landscape",
)
STABILITY_NOTE = (
    "how much of the space of the first 10 % of eigenvectors is the same: in statistics of two halves of the data, in "
    "the network before training, in a training by another seed; chance: two spaces of this size drawn at random"
)


HEAD = (MODEL, Column("layer", "layer"))
PLAIN = {"noisy_share": "own", "noisy_share_given": "own, given"}
RATIOS = {
    "gradient": ("own_memorized", "own_other"),
    "along": ("along_memorized", "along_other"),
    "along, given": ("along_memorized_given", "along_other_given"),
}
AGAINST = {"half": "other half of the data", "initial": "before training", "seed": "another seed"}


def _percent(titles: Mapping[str, str]) -> tuple[Column, ...]:
    return tuple(Column(key, title, "percent") for key, title in titles.items())


BAND_COLUMNS = tuple(
    Column(f"{key}_{low}", f"{title}{name}", "percent")
    for key, title in (("share_ratio", ""), ("ratio", "norms, "))
    for low, name in BANDS
)


@TABLES.register(
    "bands",
    title="Memorized against other inputs, by band",
    columns=(*HEAD, Column("basis", "basis"), *BAND_COLUMNS),
    notes=(BAND_NOTE,),
)
def bands(report: Report) -> Iterator[tuple[Cell, ...]]:
    """How much of each band memorized examples have against others, by layer and basis."""

    def cells(found: Found) -> Iterator[Cell]:
        for column in ("share_ratio", "ratio"):
            for low, _ in BANDS:
                yield over_seeds(found, partial(_in_band, low, column))

    return _by_layer(report, "bands", cells, by="basis", names=BASES)


def _in_band(low: str, column: str, line: Line) -> float | None:
    return number(line, column) if line["from"] == low else None


SIDES = {"a": "A", "g": "G", "weight": "W"}
RANKS = {
    **{f"effective_rank_{side}": f"effective rank {name}" for side, name in SIDES.items()},
    **{f"{side}_10": f"first 10 % {name}" for side, name in SIDES.items()},
}


@TABLES.register("spectrum", title="Effective ranks", columns=(*HEAD, *_percent(RANKS)), notes=(RANK_NOTE,))
def spectrum(report: Report) -> Iterator[tuple[Cell, ...]]:
    """The effective ranks of each layer and what its first directions hold."""
    return _by_layer(report, "spectrum", _columns(RANKS))


@TABLES.register(
    "curvature",
    title="Whose curvature it is",
    columns=(*HEAD, *_percent(PLAIN), *_percent({name.replace(", ", "_"): name for name in RATIOS})),
    notes=CURVATURE_NOTES,
)
def curvature(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Whose Fisher it is, by layer."""

    def cells(found: Found) -> Iterator[Cell]:
        yield from _columns(PLAIN)(found)
        for one, other in RATIOS.values():
            yield over_seeds(found, partial(_ratio, one, other))

    return _by_layer(report, "fisher", cells)


def _ratio(one: str, other: str, line: Line) -> float | None:
    above, below = number(line, one), number(line, other)
    return above / below if above is not None and below else None


@TABLES.register(
    "stability",
    title="How stable the bases are",
    columns=(*HEAD, Column("side", "side"), *_percent({**AGAINST, "chance": "chance"})),
    notes=(STABILITY_NOTE,),
)
def stability(report: Report) -> Iterator[tuple[Cell, ...]]:
    """How much of the first eigenvectors stays the same, by layer and side."""

    def cells(found: Found) -> Iterator[Cell]:
        for name in AGAINST:
            yield over_seeds(found, partial(_shared_with, name))
        yield over_seeds(found, partial(number, column="chance"))

    return _by_layer(report, "stability", cells, by="side", names={"a": "A", "g": "G"})


def _shared_with(name: str, line: Line) -> float | None:
    return number(line, "overlap") if line["with"].split(" ")[0] == name else None


def _columns(names: Iterable[str]) -> Callable[[Found], Iterator[Cell]]:
    """Return a function to the mean over the seeds of each of the columns ``names`` of the files."""

    def cells(found: Found) -> Iterator[Estimate | None]:
        for name in names:
            yield over_seeds(found, partial(number, column=name))

    return cells


def _by_layer(
    report: Report,
    analysis: str,
    cells: Callable[[Found], Iterator[Cell]],
    by: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each layer of each training, and for each value of the column ``by``."""
    for training in report.trainings if report.analyses.get(analysis) else ():
        seeds = lines_of(training, report.analyses[analysis])
        keys = dict.fromkeys((x["layer"], x[by] if by else "") for some in seeds.values() for x in some)
        for layer, value in sorted(keys, key=lambda key: key[1]):
            found = {
                seed: [x for x in some if x["layer"] == layer and (by is None or x[by] == value)]
                for seed, some in seeds.items()
            }
            shown = [(names or {}).get(value, value)] if by else []
            yield (report.names.training(training), layer, *shown, *cells(found))

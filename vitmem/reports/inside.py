"""Tables of what lies inside the trained networks: bands, spectra, curvature, stability, detection. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from vitmem.reports.aggregate import Estimate
from vitmem.reports.analyses import Line, lines_of, number, over_seeds
from vitmem.reports.content import Report
from vitmem.reports.notes import INTERVAL
from vitmem.reports.render import Cell, Column, Table
from vitmem.reports.suspects import detection, learned

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


def bands(report: Report) -> Table:
    """Return how much of each band memorized examples have against others, by layer and basis."""

    def cells(found: Found) -> Iterator[Cell]:
        for column in ("share_ratio", "ratio"):
            for low, _ in BANDS:
                yield over_seeds(found, partial(_in_band, low, column))

    columns = [Column(f"{key}_{low}", f"{title}{name}", "percent")
               for key, title in (("share_ratio", ""), ("ratio", "norms, ")) for low, name in BANDS]  # fmt: skip
    return _by_layer(report, "bands", columns, cells, (BAND_NOTE,), by="basis", names=BASES)


def _in_band(low: str, column: str, line: Line) -> float | None:
    return number(line, column) if line["from"] == low else None


def spectrum(report: Report) -> Table:
    """Return the effective ranks of each layer and what its first directions hold."""
    sides = {"a": "A", "g": "G", "weight": "W"}
    columns = [
        *(Column(f"effective_rank_{side}", f"effective rank {name}", "percent") for side, name in sides.items()),
        *(Column(f"{side}_10", f"first 10 % {name}", "percent") for side, name in sides.items()),
    ]
    return _by_layer(report, "spectrum", columns, _columns(columns), (RANK_NOTE,))


def curvature(report: Report) -> Table:
    """Return whose Fisher it is, by layer."""
    plain = [Column("noisy_share", "own", "percent"), Column("noisy_share_given", "own, given", "percent")]
    ratios = {
        "gradient": ("own_memorized", "own_other"),
        "along": ("along_memorized", "along_other"),
        "along, given": ("along_memorized_given", "along_other_given"),
    }

    def cells(found: Found) -> Iterator[Cell]:
        yield from _columns(plain)(found)
        for one, other in ratios.values():
            yield over_seeds(found, partial(_ratio, one, other))

    columns = [*plain, *(Column(name.replace(", ", "_"), name, "percent") for name in ratios)]
    return _by_layer(report, "fisher", columns, cells, CURVATURE_NOTES)


def _ratio(one: str, other: str, line: Line) -> float | None:
    above, below = number(line, one), number(line, other)
    return above / below if above is not None and below else None


def stability(report: Report) -> Table:
    """Return how much of the first eigenvectors stays the same, by layer and side."""
    against = {"half": "other half of the data", "initial": "before training", "seed": "another seed"}

    def cells(found: Found) -> Iterator[Cell]:
        for name in against:
            yield over_seeds(found, partial(_shared_with, name))
        yield over_seeds(found, partial(number, column="chance"))

    columns = [
        *(Column(key, title, "percent") for key, title in against.items()),
        Column("chance", "chance", "percent"),
    ]
    return _by_layer(report, "stability", columns, cells, (STABILITY_NOTE,), by="side", names={"a": "A", "g": "G"})


def _shared_with(name: str, line: Line) -> float | None:
    return number(line, "overlap") if line["with"].split(" ")[0] == name else None


TABLES = {
    "bands": ("bands", bands),
    "spectrum": ("spectrum", spectrum),
    "curvature": ("fisher", curvature),
    "stability": ("stability", stability),
    "detection": ("detection", detection),
    "learned": ("learned", learned),
}


def inside(report: Report) -> dict[str, Callable[[Report], Table]]:
    """Return what makes the tables that there are analyses for, by name."""
    return {name: make for name, (analysis, make) in TABLES.items() if report.analyses.get(analysis)}


def _columns(columns: Sequence[Column]) -> Callable[[Found], Iterator[Cell]]:
    """Return what gives the mean over the seeds of each of ``columns`` of the files."""

    def cells(found: Found) -> Iterator[Estimate | None]:
        for column in columns:
            yield over_seeds(found, partial(number, column=column.key))

    return cells


def _by_layer(
    report: Report,
    analysis: str,
    columns: Sequence[Column],
    cells: Callable[[Found], Iterator[Cell]],
    notes: Sequence[str],
    by: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Table:
    """Return a table with a row for each layer of each training, and for each value of the column ``by``."""
    head = [Column("model", "model"), Column("layer", "layer"), *([Column(by, by)] if by else [])]
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        seeds = lines_of(training, report.analyses[analysis])
        keys = dict.fromkeys((x["layer"], x[by] if by else "") for some in seeds.values() for x in some)
        for layer, value in sorted(keys, key=lambda key: key[1]):
            found = {
                seed: [x for x in some if x["layer"] == layer and (by is None or x[by] == value)]
                for seed, some in seeds.items()
            }
            shown = [(names or {}).get(value, value)] if by else []
            rows.append((report.names.training(training), layer, *shown, *cells(found)))
    return Table(report.about, (*head, *columns), tuple(rows), (INTERVAL, *notes), report.footer)

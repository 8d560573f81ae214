"""Is the effect that of the paper? Its numbers on ImageNet beside those of networks that one edit is judged on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.columns import MEASURES, NO_LOSS
from vitmem.reports.overview import Line, lines
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report
from vitmem.reports.tables.suites import SIDE, THREE
from vitmem.reports.tables.verdict import SHRINKING, verdicts

# The axes of tokens and of images, and patches of photographs from two sources.
SUITES = ("fashion_tokens", "scaling_cifar10", "fashion_tokens_small", "cifar10_noise10_small", "imagenette64_noise10")
# Merullo et al. (2025): memorized / recovered / validation of a ViT-B/16 before and after the edit.
PAPER: tuple[Cell, ...] = (
    "1.28 M of ImageNet; ViT-B/16, 197 tokens (Merullo et al. 2025)",
    "81.6 / 10.5 / 67.0",
    "K-FAC: 3.5 / 66.5 / 71.7",
    None,
    None,
)


@TABLES.register("paper")
class BesideThePaper(Table):
    """The base, the best edit without labels and the best shrinkage at no loss, below the numbers of the paper."""

    title = "Memorized / recovered / validation in per cent, before and after the edit"
    over_suites = True
    columns = (
        Column("network", "images and network"),
        Column("base", "before"),
        Column("edit", "after the best edit"),
        Column("shrinkage", "best shrinkage, memorized"),
        Column("lead", "lead in points"),
    )
    notes = (
        THREE,
        NO_LOSS,
        SIDE,
        "networks: of each suite those with the most training images, and of these those with the most tokens",
        f"best shrinkage: the same choice among the settings of data-free methods; {SHRINKING}",
        "lead: memorized under the best shrinkage minus memorized under the best edit, with its 95 % interval",
    )

    def about(self, report: Sequence[Line]) -> str:
        """Return the sentence above the table."""
        return f"{self.title}, at no loss of accuracy."

    def observe(self, report: Report) -> list[Line]:
        """Return the lines of a suite that is shown, of the networks with the most images, of these the most tokens."""
        if report.suite not in SUITES:
            return []
        sizes = [tuple(row.get("counts", {}).get(key, 0) for key in ("train", "tokens")) for row in report.rows]
        shown = Report(report.suite, [row for row, size in zip(report.rows, sizes, strict=True) if size == max(sizes)])
        return lines(shown, verdicts(shown), MEASURES)

    def rows(self, report: Sequence[Line]) -> Iterator[tuple[Cell, ...]]:
        """Yield the paper's line, then one a network."""
        if report:
            yield PAPER
        for line in sorted(report, key=lambda line: (SUITES.index(line.suite), line.cells)):
            yield line.cells[1:6]

    def remarks(self, report: Sequence[Line], rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield each device with the versions of packages and the numbers of seeds of its networks."""
        for made_by in sorted({made_by for line in report for made_by in line.made_by}):
            seeds = sorted({line.seeds for line in report if made_by in line.made_by})
            yield f"{', '.join(seeds)} seeds each; {made_by}"

"""What the edits did, in a sentence: the best edit without labels beside the best shrinkage, both at no loss."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vitmem.outcomes import packed
from vitmem.reports.drawing import write_figures
from vitmem.reports.files import render_tables, tables_of
from vitmem.reports.report import Report
from vitmem.reports.tables.verdict import verdicts, without_the_best
from vitmem.reports.terminal import terminal
from vitmem.rows import write_rows

Row = dict[str, Any]
Halves = tuple[tuple[float, float], tuple[float, float]]  # (memorized, validation) reported, then selected by
Make = Callable[..., list[Row]]
# memorized and validation of the base on both halves
BASE: Halves = ((0.85, 0.90), (0.86, 0.90))
INPUT = {"method": "kfac_input", "blocks": "all"}
SCALED = {"method": "uniform_scaling", "blocks": "all", "factor": 0.7}
TOLD = {
    "kfac_input": "unlabelled",
    "kfac": "unlabelled",
    "uniform_scaling": "data-free",
    "svd": "data-free",
    "random_basis": "data-free",
    "scrub": "retain + forget",
}


@pytest.fixture
def made(make_row: Callable[..., Row]) -> Make:
    """Rows of a base and some edits, all seeds alike but for what ``spread`` adds to memorized by seed."""

    def make(
        edits: Sequence[tuple[dict[str, Any], Halves]],
        seeds: int = 3,
        base: Halves = BASE,
        spread: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> list[Row]:
        found = []
        for edit, halves in [({"method": "none"}, base), *edits]:
            for seed in range(seeds):
                (memorized, validation), selection = halves
                moved = memorized + (0.0 if edit["method"] == "none" else spread[seed])
                row = make_row(seed, edit, report=(moved, validation), selection=selection)
                if edit["method"] in TOLD:
                    row["edit"]["information"] = TOLD[edit["method"]]
                found.append(row)
        return found

    return make


def sentence(rows: list[Row]) -> str:
    (found,) = verdicts(Report("toy", rows))
    return found.sentence


def test_the_best_without_loss_and_the_best_shrinkage(made: Make) -> None:
    rows = made(
        [
            ({**INPUT, "fraction": 0.05}, ((0.01, 0.80), (0.01, 0.80))),  # takes most, and loses
            ({**INPUT, "fraction": 0.1}, ((0.09, 0.91), (0.10, 0.90))),
            ({**INPUT, "fraction": 0.2}, ((0.40, 0.95), (0.40, 0.95))),  # loses nothing, takes less
            ({"method": "kfac", "blocks": "all", "fraction": 0.1}, ((0.05, 0.90), (0.30, 0.91))),
            (SCALED, ((0.70, 0.90), (0.70, 0.90))),
            ({"method": "svd", "blocks": "all", "rank_fraction": 0.1}, ((0.60, 0.92), (0.80, 0.90))),
        ]
    )
    # differences over three equal seeds have an interval of no width
    assert sentence(rows) == (
        "vit (3 seeds): at no loss K-FAC, input side (all, fraction 0.1) takes memorized from 85.0 to 9.0 % and gives "
        "81.0 % of these images their true label (5.0 % before), validation +1.0 points; the best shrinkage, uniform "
        "scaling, leaves 70.0 %, 61.0 points more (+61.0 to +61.0)."
    )
    table = list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["verdict.csv"])))
    assert [(r["method"], r["setting"], r["memorized"]) for r in table] == [
        ("base", "", "0.85"), ("SVD", "all, rank_fraction 0.1", "0.6"), ("uniform scaling", "all, factor 0.7", "0.7"),
        ("K-FAC", "all, fraction 0.1", "0.05"), ("K-FAC, input side", "all, fraction 0.1", "0.09"),
    ]  # fmt: skip
    assert [r["validation_minus_base"] for r in table] == ["", "0.02", "0", "0", "0.01"]
    # below the table, among the notes and on a terminal
    assert f"\n- {sentence(rows)}\n" in render_tables(Report("toy", rows))["verdict.md"]
    shown = terminal(tables_of(Report("toy", rows), "verdict")["verdict"])
    assert sentence(rows) in " ".join(shown.split()) and max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    ("shrunk", "ending"),
    [
        # differences -.1, 0 and +.1 about a mean: the half-width is 4.303 * .1 / sqrt(3) = .248
        (0.30, "leaves 30.0 %, which cannot be told apart (-4.8 to +44.8 points)."),
        (0.60, "leaves 60.0 %, 50.0 points more (+25.2 to +74.8)."),
    ],
)
def test_shrinkage_that_is_as_good_is_not_called_worse(made: Make, shrunk: float, ending: str) -> None:
    rows = made([({**INPUT, "fraction": 0.1}, ((0.1, 0.9), (0.1, 0.9)))], spread=(-0.1, 0.0, 0.1))
    rows += [r for r in made([(SCALED, ((shrunk, 0.9), (shrunk, 0.9)))]) if r["config"]["edit"]["method"] != "none"]
    assert sentence(rows).endswith(ending)


def test_shrinkage_that_is_better_is_called_so(made: Make) -> None:
    rows = made([({**INPUT, "fraction": 0.1}, ((0.5, 0.9), (0.5, 0.9))), (SCALED, ((0.2, 0.9), (0.2, 0.9)))])
    assert sentence(rows).endswith("uniform scaling, leaves 20.0 %, 30.0 points less (-30.0 to -30.0).")


def without(rows: list[Row]) -> str | None:
    report = Report("toy", rows)
    (found,) = verdicts(report)
    next_best = without_the_best(report, found)
    return next_best and next_best.sentence


def test_a_lead_is_looked_at_without_its_best_setting(made: Make) -> None:
    best, scaled = ({**INPUT, "fraction": 0.1}, ((0.1, 0.9), (0.1, 0.9))), (SCALED, ((0.6, 0.9), (0.6, 0.9)))
    second = ({"method": "kfac", "blocks": "all", "fraction": 0.2}, ((0.4, 0.9), (0.2, 0.9)))
    weaker = ({**INPUT, "fraction": 0.2}, ((0.3, 0.9), (0.3, 0.9)))
    rows = made([best, second, weaker, scaled])
    assert without(rows) == (
        "vit: without K-FAC, input side (all, fraction 0.1) the best setting is K-FAC (all, fraction 0.2), which "
        "leaves 40.0 %; the best shrinkage, uniform scaling, leaves 60.0 %, 20.0 points more (+20.0 to +20.0)."
    )
    assert f"\n- {without(rows)}\n" in render_tables(Report("toy", rows))["grids.md"]
    for row in rows:  # differences -.1, 0 and +.1 about 20 points: the half-width is 24.8
        if row["config"]["edit"]["method"] == "kfac":
            row["metrics"]["memorized"] += 0.1 * (row["config"]["seed"] - 1)
    assert str(without(rows)).endswith("leaves 60.0 %, which cannot be told apart (-4.8 to +44.8 points).")
    lost = ({**INPUT, "fraction": 0.2}, ((0.3, 0.8), (0.3, 0.8)))
    assert str(without(made([best, lost, scaled]))).endswith("fraction 0.1) no setting keeps the accuracy of the base.")
    # nothing is ahead, or nothing to be ahead of
    assert without(made([(best[0], ((0.7, 0.9), (0.1, 0.9))), second, scaled])) is None
    assert without(made([best, second])) is None


def test_nothing_qualifies(made: Make) -> None:
    losing = [({**INPUT, "fraction": f}, ((0.1, 0.8), (0.1, 0.8))) for f in (0.1, 0.2)]
    assert sentence(made(losing)) == "vit (3 seeds): no setting of K-FAC, input side keeps the accuracy of the base."
    both = [*losing, (SCALED, ((0.7, 0.9), (0.7, 0.9)))]
    assert sentence(made(both)).endswith("keeps the accuracy of the base; uniform scaling leaves 70.0 of 85.0 %.")
    kept = [({**INPUT, "fraction": 0.1}, ((0.1, 0.9), (0.1, 0.9))), (SCALED, ((0.7, 0.8), (0.7, 0.8)))]
    assert sentence(made(kept)).endswith("; no setting of uniform scaling keeps the accuracy of the base.")


@pytest.mark.parametrize(("left", "spread"), [(0.85, (0, 0, 0)), (0.87, (0, 0, 0)), (0.80, (-0.1, 0, 0.1))])
def test_no_effect_is_called_none(made: Make, left: float, spread: Sequence[float]) -> None:
    rows = made([({**INPUT, "fraction": 0.1}, ((left, 0.9), (0.5, 0.9)))], spread=spread)
    assert f"takes nothing away beyond chance: 85.0 % before, {100 * left:.1f} % after" in sentence(rows)


def test_a_base_that_memorizes_little_is_not_judged(made: Make) -> None:
    rows = made([({**INPUT, "fraction": 0.1}, BASE)], base=((0.4, 0.9), (0.4, 0.9)))
    assert sentence(rows) == (
        "vit (3 seeds): nothing to take away: the base memorizes 40.0 %, and below 60 % nothing is judged."
    )


def test_two_seeds_have_no_interval_and_one_has_that_of_its_items(made: Make) -> None:
    edits = [({**INPUT, "fraction": 0.1}, ((0.1, 0.9), (0.1, 0.9))), (SCALED, ((0.6, 0.9), (0.6, 0.9)))]
    assert sentence(made(edits, seeds=2)).endswith("leaves 60.0 %, 50.0 points more (no interval).")
    rows = made(edits, seeds=1)
    for row in rows:  # 10 items: all but the first memorized, the first only, the first six
        count = {"none": 10, "kfac_input": 1, "uniform_scaling": 6}[row["config"]["edit"]["method"]]
        row["outcomes"] = {"memorized": packed([n < count for n in range(10)])}
    # five items changed, all one way: Clopper and Pearson's interval of 5 of 5 begins at .025 ** (1 / 5) = .478,
    # so that the difference begins at (2 * .478 - 1) * 5 / 10 < 0: it is not told apart
    assert sentence(rows).endswith("cannot be told apart (-2.2 to +50.0 points).")


def test_methods_that_know_the_wrong_labels_do_not_compete(made: Make) -> None:
    told = {"method": "scrub", "blocks": "all", "lr": 0.1}
    assert verdicts(Report("toy", made([(told, ((0.0, 0.95), (0.0, 0.95)))]))) == []
    rows = made([(told, ((0.0, 0.95), (0.0, 0.95))), ({**INPUT, "fraction": 0.1}, ((0.1, 0.9), (0.1, 0.9)))])
    assert "K-FAC, input side (all, fraction 0.1) takes" in sentence(rows)
    unrecorded = [{**row, "edit": {k: v for k, v in row["edit"].items() if k != "information"}} for row in rows]
    assert verdicts(Report("toy", unrecorded)) == []  # of neither is it known what it was told


def test_a_picture_where_all_shrinkage_stands_beside(made: Make, tmp_path: Path) -> None:
    edits = [
        ({**INPUT, "fraction": 0.1}, ((0.1, 0.9), (0.1, 0.9))),
        (SCALED, ((0.6, 0.9), (0.6, 0.9))),
        ({"method": "svd", "blocks": "all", "rank_fraction": 0.1}, ((0.7, 0.9), (0.7, 0.8))),
        ({"method": "random_basis", "blocks": "all", "fraction": 0.1}, ((0.7, 0.9), (0.7, 0.9))),
    ]
    for name, some in (("one", edits), ("two", edits), ("less", edits[:3])):
        write_rows(tmp_path / name / "toy" / "rows.jsonl", made(some))
    one, two, less = (write_figures(tmp_path / name) for name in ("one", "two", "less"))
    assert [p.name for p in one] == ["tradeoff.svg", "tradeoff.png", "verdict.svg", "verdict.png"]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert [p.name for p in less] == ["tradeoff.svg", "tradeoff.png"]


def test_a_basis_of_which_one_side_is_read_from_the_data_is_no_shrinkage(made: Make) -> None:
    half = {"method": "random_basis", "importance": "kfac", "side": "both", "blocks": "all", "fraction": 0.5}
    rows = made(
        [
            ({**INPUT, "fraction": 0.1}, ((0.10, 0.90), (0.10, 0.90))),
            ({**half, "random": "output"}, ((0.20, 0.90), (0.20, 0.90))),
            (SCALED, ((0.70, 0.90), (0.70, 0.90))),
        ]
    )
    assert "the best shrinkage, uniform scaling, leaves 70.0 %" in sentence(rows)
    rows = made([({**INPUT, "fraction": 0.1}, ((0.10, 0.90), (0.10, 0.90))), (half, ((0.20, 0.90), (0.20, 0.90)))])
    assert "the best shrinkage, random basis, leaves 20.0 %" in sentence(rows)

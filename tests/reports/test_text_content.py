"""The table of recitation puts methods beside each other that were allowed the same rise of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vitmem.reports.files import render_tables
from vitmem.reports.report import Report

Row = dict[str, Any]


def rows_of(make_row: Callable[..., Row]) -> list[Row]:
    """A model that came trained, two methods at two allowed rises, K-FAC in two sets of blocks, SVD at a share too."""

    def row(edit: Row, memorized: float, perplexity: float, selection: float) -> Row:
        made = make_row(0, edit, report=(memorized, 0.4), selection=(selection, 0.4))
        del made["config"]["recipe"]
        made["config"]["noise"] = {"name": "none"}
        texts = {"perplexity": perplexity, "control_loss": 3.25, "control_recited": 0.0}
        counts = {"train": 900, "strings": 29, "famous_report": 14, "control_report": 16}
        return {**made, "metrics": {**made["metrics"], **texts}, "counts": counts}

    return [
        row({"method": "none"}, 0.5, 20.0, 0.5),
        row({"method": "kfac", "blocks": "last", "match_loss": 0.1}, 0.3, 21.0, 0.2),
        row({"method": "kfac", "blocks": "all", "match_loss": 0.1}, 0.1, 21.5, 0.4),
        row({"method": "kfac", "blocks": "last", "match_loss": 0.2}, 0.2, 23.0, 0.1),
        row({"method": "svd", "blocks": "last", "match_loss": 0.1}, 0.4, 21.25, 0.3),
        row({"method": "svd", "blocks": "last", "rank_fraction": 0.5}, 0.45, 20.5, 0.4),
    ]


def test_methods_side_by_side_at_the_same_rise(make_row: Callable[..., Row]) -> None:
    text = render_tables(Report("toy", rows_of(make_row)))["recitation.md"]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| vit")]
    columns = next(line for line in text.splitlines() if line.startswith("| model"))
    assert columns == (
        "| model | allowed rise | method | setting | seeds | memorized | control recited | control loss | validation "
        "| perplexity |"
    )
    assert [(c[1], c[2], c[3], c[5], c[9]) for c in cells] == [
        ("", "base", "", "50.0", "20.000"),
        ("", "SVD", "last, rank_fraction 0.5", "45.0", "20.500"),
        ("0.1", "K-FAC", "last, match_loss 0.1", "30.0", "21.000"),  # the smaller one on the selection half
        ("0.1", "SVD", "last, match_loss 0.1", "40.0", "21.250"),
        ("0.2", "K-FAC", "last, match_loss 0.2", "20.0", "23.000"),
    ]


def test_a_model_that_came_trained_has_no_gate_and_few_items_say_so(make_row: Callable[..., Row]) -> None:
    text = render_tables(Report("toy", rows_of(make_row)))["recitation.md"]
    assert "nothing to remove" not in text
    # half of the Wilson interval of 7 of 14: 1.96 sqrt(1 / 56 + 1.96² / 784) / (1 + 1.96² / 14)
    assert "reported items of the one model: at most ±23.2 points for memorized" in text


def test_images_have_no_such_table(toy: list[Row]) -> None:
    assert not any(name.startswith("recitation") for name in render_tables(Report("toy", toy)))

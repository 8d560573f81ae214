"""What tells beforehand that curvature beats shrinkage, by hand on rows of five networks, against scipy."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from vitmem.reports.studies.regime.ranks import weights
from vitmem.reports.studies.regime.targets import LEADS, WORKS, targets

from vitmem.reports.files import render_tables, tables_of
from vitmem.reports.report import Report

Row = dict[str, Any]
KFAC = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last", "fraction": 0.1}
SCALED = {"method": "uniform_scaling", "blocks": "last", "factor": 0.5}
SIDE = {"method": "kfac_input", "blocks": "last", "fraction": 0.1}
FC2 = {"layers": ["fc2"]}
# tokens: memorized under scaling, K-FAC, the input side; of fc2 alone scaling, the input side; ablated of both, of fc2
NETS = {
    1: (0.8, 0.4, 0.1, 0.7, 0.3, 0.05, 0.1),
    2: (0.7, 0.5, 0.2, 0.7, 0.4, 0.1, 0.2),
    4: (0.5, 0.45, 0.46, 0.6, 0.7, 0.4, 0.6),
    8: (0.4, 0.6, 0.5, 0.6, 0.6, 0.5, 0.6),
    16: (0.3, 0.8, 0.4, 0.5, 0.4, 0.7, 0.8),
}


@pytest.fixture
def rows(make_row: Callable[..., Row]) -> list[Row]:
    """Two seeds; the second has .02 more under every edit and .03 less of everything ablated."""
    found = []
    for tokens, (scaled, kfac, side, scaled_fc2, side_fc2, ablated, ablated_fc2) in NETS.items():
        edits = [
            ({"method": "none"}, 0.9, 0.0),
            (SCALED, scaled, ablated),
            (KFAC, kfac, ablated),
            (SIDE, side, ablated),
            ({**SCALED, **FC2}, scaled_fc2, ablated_fc2),
            ({**SIDE, **FC2}, side_fc2, ablated_fc2),
        ]
        for edit, left, zero in edits:
            for seed in (0, 1):
                plain = edit["method"] == "none"
                after = left + (0 if plain else 0.02 * seed)
                row = make_row(seed, edit, report=(after, 0.5), selection=(0.9 if plain else 0.1, 0.5))
                row["id"] += f"-{tokens}"
                row["config"]["recipe"] = {"epochs": tokens}
                row["ids"] = {"training": f"{tokens}-{seed}"}
                row["counts"]["tokens"] = tokens
                if not plain:
                    row["edit"]["layers"] = {"fc2": {}} if "layers" in edit else {"fc1": {}, "fc2": {}}
                    row["selection"] |= {"ablated_memorized": zero - 0.03 * seed, "ablated_validation": 0.3}
                    row["metrics"]["ablated_memorized"] = 0.5  # of the report half: it tells nothing beforehand
                found.append(row)
    return found


def table(rows: list[Row]) -> dict[tuple[str, str, str], dict[str, str]]:
    lines = csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["predictors.csv"]))
    return {(line["target"], line["method"], line["quantity"]): line for line in lines}


def test_leads_of_the_input_side_against_scipy(rows: list[Row]) -> None:
    found = table(rows)
    leads = np.array([[s - i, s2 - i2] for s, _, i, s2, i2, *_ in NETS.values()])  # (5, 2): nets, layers
    ablated = np.array([[a, a2] for *_, a, a2 in NETS.values()])
    lead = np.repeat(leads.T.ravel(), 2)  # both seeds are alike: each edit leaves .02 more
    zero = np.repeat(ablated.T.ravel(), 2) - np.tile([0, 0.03], 10)
    hits = lead >= 0.05 - 1e-9
    one = found[LEADS, "K-FAC, input side", "ablated memorized"]
    assert (one["settings"], one["trainings"], one["hits"]) == ("5", "20", str(hits.sum())) == ("5", "20", "10")
    assert float(one["spearman"]) == pytest.approx(spearmanr(zero, lead.round(9)).statistic, abs=1e-5)
    assert float(one["auroc"]) == pytest.approx(roc_auc_score(hits, zero), abs=1e-5)
    tokens = found[LEADS, "K-FAC, input side", "tokens"]
    each = np.tile(np.repeat(list(NETS), 2), 2)
    assert float(tokens["spearman"]) == pytest.approx(spearmanr(each, lead.round(9)).statistic, abs=1e-5)
    # the same everywhere: nothing can be told
    assert (LEADS, "K-FAC, input side", "ablated validation") not in found


def test_leads_of_kfac_are_of_the_layers_that_it_edits(rows: list[Row]) -> None:
    one = table(rows)[LEADS, "K-FAC", "ablated memorized"]
    lead = np.repeat([s - k for s, k, *_ in NETS.values()], 2).round(9)
    zero = np.repeat([a for *_, a, _ in NETS.values()], 2) - np.tile([0, 0.03], 5)
    assert (one["trainings"], one["hits"]) == ("10", "6")  # .4, .2 and .05: five points are enough
    assert float(one["spearman"]) == pytest.approx(spearmanr(zero, lead).statistic, abs=1e-5)


def test_where_an_edit_works_is_told_by_its_largest_set_of_layers(rows: list[Row]) -> None:
    units = targets(Report("toy", rows))
    assert set(units) == {WORKS, LEADS}
    side = units[WORKS]["K-FAC, input side"]
    assert [unit.ablated.config["edit"].get("layers") for unit in side if unit.ablated] == [None] * 5


def test_rows_without_headroom_have_no_rows_of_it(rows: list[Row]) -> None:
    assert "| ablated memorized |" in render_tables(Report("toy", rows))["predictors.md"]
    for row in rows:
        for half in ("metrics", "selection"):
            row[half] = {key: value for key, value in row[half].items() if not key.startswith("ablated")}
    assert "| ablated memorized |" not in render_tables(Report("toy", rows))["predictors.md"]


def test_without_shrinkage_there_is_one_target(rows: list[Row]) -> None:
    some = [row for row in rows if row["config"]["edit"]["method"] != "uniform_scaling"]
    assert {row[0] for row in tables_of(Report("toy", some), "predictors")["predictors"].rows} == {WORKS}


def test_layers_of_one_training_are_drawn_together() -> None:
    setting = np.repeat(np.arange(10), 4)
    once, drawn = weights(setting)
    assert once.weights.tolist() == [[1.0] * 40] and drawn.weights.shape == (1999, 40)
    assert (drawn.weights.reshape(1999, 10, 4) == drawn.weights[:, ::4, None]).all()
    assert weights(setting[:36])[1].weights.shape == (0, 36)

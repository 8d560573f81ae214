"""Probes through the matrix: sweeps inside an edit, what enters an id, statistics that are shared, and rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.rows import read_rows
from vitmem.specs import PREDICTIONS

HERE = Path(__file__).parent
SHIPPED = Path(__file__).parents[2] / "configs" / "suites"
RELEARN: dict[str, Any] = {"method": "relearn", "blocks": "last", "steps": 2, "lr": 0.05, "batch_size": 64}


def planned(folder: Path, edits: list[dict[str, Any]]) -> Plan:
    suite = folder / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**yaml.safe_load((HERE / "tiny.yaml").read_text()), "edits": edits}))
    return make_plan(load_suite(suite), suite)


def test_an_inner_edit_sweeps_like_any_other_and_reads_its_own_statistics(tmp_path: Path) -> None:
    after = [{"method": "kfac", "fraction": [0.1, 0.2], "importance": ["kfac", "ckfac"]}, {"method": "none"}]
    edits = [
        {"method": "kfac", "blocks": "last", "fraction": 0.1, "importance": ["kfac", "ckfac"]},
        {**RELEARN, "after": after, "steps": [1, 2]},
    ]
    alone, probes = [], []
    for cell in planned(tmp_path, edits).cells:
        (probes if cell.config["edit"]["method"] == "relearn" else alone).append(cell)
    assert len(probes) == (2 * 2 + 1) * 2
    known = {cell.config["edit"]["importance"]: cell.statistics_id for cell in alone}
    for cell in probes:
        assert cell.statistics_id == known.get(cell.config["edit"]["after"].get("importance"))
    assert planned(tmp_path, [{**RELEARN, "after": {"method": "none"}}]).cells[0].config["edit"]["train_on"] == "given"
    classes = planned(tmp_path, [{**RELEARN, "after": {"method": "none"}, "classes": [[1], [2, 3]]}]).cells
    assert [cell.config["edit"]["classes"] for cell in classes] == [[1], [2, 3]]


def test_bands_sweep_and_the_singular_vectors_need_no_statistics(tmp_path: Path) -> None:
    edit = {"method": "band_removed", "blocks": "last", "band": ["0-10", "10-25"], "basis": ["kfac", "svd"]}
    found = {
        (c.config["edit"]["basis"], c.config["edit"]["band"]): c.statistics_id for c in planned(tmp_path, [edit]).cells
    }
    assert {place: statistics is not None for place, statistics in found.items()} == {
        ("kfac", "0-10"): True, ("kfac", "10-25"): True, ("svd", "0-10"): False, ("svd", "10-25"): False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"after": "kfac"}, "edits: 'after': missing key 'method', got 'kfac'"),
        ({"after": {"method": "kfac", "fracton": 0.1}}, "'after' .*did you mean 'fraction'"),
        ({"after": {"method": "drop_memory"}}, "method 'drop_memory' needs a recipe with 'example_tied'"),
        ({"after": {"method": "none"}, "blocks": None}, "method 'relearn' needs 'blocks'"),
        ({}, "'after': field required"),
    ],
)
def test_a_bad_inner_edit_is_a_sentence(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        planned(tmp_path, [{**RELEARN, **changes}])
    assert "\n" not in str(error.value)


def test_the_shipped_suite_shares_trainings_and_statistics_with_that_of_the_methods() -> None:
    inside, methods = (
        make_plan(load_suite(path), path)
        for path in (SHIPPED / f"{name}_cifar10_small.yaml" for name in ("inside", "methods"))
    )
    plain = {cell.training.id for cell in methods.cells if "oracle" not in cell.config}
    assert {cell.training.id for cell in inside.cells} == plain
    assert {cell.statistics_id for cell in inside.cells} <= {cell.statistics_id for cell in methods.cells}
    alone = [cell for cell in inside.cells if cell.config["edit"]["method"] not in ("relearn", "dial", "band_removed")]
    assert {cell.id for cell in alone} <= {cell.id for cell in methods.cells} and len(alone) == 3 * 7


def test_rows_of_probes(tmp_path: Path) -> None:
    kfac = {"method": "kfac", "fraction": 0.1}
    edits = [
        {"method": "none"},
        {**kfac, "blocks": "last"},
        {**RELEARN, "after": kfac, "lr": [1e-12, 0.5]},
        {"method": "band_removed", "blocks": "last", "band": "0-50", "basis": ["kfac", "svd"]},
    ]
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    plan = planned(tmp_path, edits)
    assert run_suite(plan, places, tmp_path / "results").failed == 0
    rows = read_rows(rows_path(tmp_path / "results", "tiny"))
    told = {(r["config"]["edit"].get("basis"), r["edit"].get("information")): r["edit"].get("probe") for r in rows}
    assert told == {
        (None, None): None,
        (None, "unlabelled"): None,
        (None, "retain + forget"): True,
        ("kfac", "unlabelled"): True,
        ("svd", "data-free"): True,
    }
    logits = {
        (cell.config["edit"]["method"], cell.config["edit"].get("lr")): load_file(
            places.store.folder("evaluation", cell.evaluation_id) / PREDICTIONS
        )["logits"]
        for cell in plan.cells
    }
    # without a step worth the name it is the inner edit that stands alone
    still, moved, alone = (logits[key] for key in (("relearn", 1e-12), ("relearn", 0.5), ("kfac", None)))
    assert (still - alone).abs().max() < 1e-3 < (moved - alone).abs().max()

"""Example-tied dropout in a suite: what is refused, whose ids change, and rows from training to drop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from vitmem.bench.cells import Cell, as_training
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.stages import open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.rows import read_rows

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())
TIED = {"fixed": 0.25, "memory": 0.1}
DROP = [{"method": "none"}, {"method": "drop_memory"}]
OTHERS = {"edit": {"method": "drop_memory"}, "recipe": {"example_tied": None}}


def write(folder: Path, tied: Any = TIED, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    recipe = {**TINY["recipe"], **({} if tied is None else {"example_tied": tied})}
    path.write_text(yaml.safe_dump({**TINY, "recipe": recipe, "edits": DROP, **changes}))
    return path


def cells(path: Path) -> tuple[Cell, ...]:
    return make_plan(load_suite(path), path).cells


def test_ids_of_other_trainings_do_not_know_of_it(tmp_path: Path) -> None:
    plain = cells(write(tmp_path, None, edits=TINY["edits"]))
    both = cells(write(tmp_path, [None, TIED, {**TIED, "blocks": "last"}], edits=TINY["edits"]))
    assert [cell.id for cell in both[: len(plain)]] == [cell.id for cell in plain]
    assert "example_tied" not in both[0].config["recipe"]
    assert len({cell.training.id for cell in both}) == 3 and len({cell.id for cell in both}) == 3 * len(plain)
    assert both[-1].config["recipe"]["example_tied"] == {**TIED, "blocks": "last"}
    # what is left out is the default
    filled = cells(write(tmp_path, {"fixed": 0.2, "memory": 0.1, "blocks": "all"}))
    assert [c.id for c in filled] == [c.id for c in cells(write(tmp_path, {}))]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tied": None}, "method 'drop_memory' needs a recipe with 'example_tied', such as {fixed: 0.2, memory: 0.1}"),
        (
            {"tied": [None, TIED]},
            "exclude the other recipes: {edit: {method: drop_memory}, recipe: {example_tied: null}}",
        ),
        ({"tied": {"fixd": 0.2}}, "unknown key 'example_tied.fixd'; did you mean 'fixed'?"),
        ({"tied": {"fixed": 0}}, "'example_tied.fixed': input should be greater than 0, got 0"),
        ({"tied": {"blocks": "lats"}}, "'example_tied': blocks: expected one of last, last_two"),
        ({"edits": [{"method": "drop_memory", "blocks": "last"}]}, "edits no blocks; leave out 'blocks'"),
        (
            {"data": {"name": "spectrum"}, "noise": None, "model": {"name": "llama"}, "edits": [{"method": "none"}]},
            "'example_tied' ties hidden units to images, data 'spectrum' has none; leave it out",
        ),
    ],
)
def test_what_is_refused_before_anything_is_trained(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        cells(write(tmp_path, **changes))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert len(cells(write(tmp_path, [None, TIED], exclude=[OTHERS]))) == 3


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), None, folder / "cache", "cpu")


def test_a_network_without_hidden_units_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    suite = write(tmp_path, model={"name": "timm/resnet10t"})
    with pytest.raises(InputError, match=r"needs blocks with an MLP [^\n]* layers of this model are conv1, conv2"):
        run_suite(make_plan(load_suite(suite), suite), places(tmp_path), tmp_path / "results")
    assert not list(tmp_path.glob("store/training/*"))


def test_rows(tmp_path: Path) -> None:
    edits = [*DROP, {"method": "svd", "blocks": "last", "rank_fraction": 0.2}]
    recipe = {**TINY["recipe"], "epochs": 2, "precision": "32", "example_tied": TIED}
    data = {**TINY["data"], "train": 200}
    suite = write(tmp_path, edits=edits, oracles=["early_stopped"], recipe=recipe, data=data)
    outcome = run_suite(make_plan(load_suite(suite), suite), places(tmp_path), tmp_path / "results")
    assert outcome == Outcome(cells=4, found=0, made=4, failed=0)
    rows = read_rows(rows_path(tmp_path / "results", "tiny"))
    found = {row["config"].get("oracle", row["config"]["edit"]["method"]): row for row in rows}
    dropped = found["drop_memory"]
    assert dropped["edit"]["information"] == "train-time"
    assert list(dropped["edit"]["layers"]) == ["blocks.0.mlp.fc2", "blocks.1.mlp.fc2"]
    assert (dropped["edit"]["kept_pairs"], dropped["edit"]["total_pairs"]) == (64, 256)
    # the rows are those of the stored weights, memory units scaled or zeroed by hand, in a network of its own
    stored = load_file(tmp_path / "store" / "training" / dropped["ids"]["training"] / "model.safetensors")
    zeroed = {name: value.clone() for name, value in stored.items()}
    for block in (0, 1):
        zeroed[f"blocks.{block}.mlp.fc2.weight"][:, :32] *= 1.4
        zeroed[f"blocks.{block}.mlp.fc2.weight"][:, 32:] = 0
    logits = {name: predictions(tmp_path, row)["logits"].float() for name, row in found.items()}
    assert not torch.allclose(logits["none"], logits["drop_memory"], atol=0.01)
    for name, weights in (("none", stored), ("drop_memory", zeroed)):
        assert torch.allclose(by_hand(tmp_path, dropped, weights), logits[name], atol=2e-3)
    # what was measured while it trained is what is stored: the scale is in the weights
    best = found["early_stopped"]
    assert best["selection"]["validation"] == pytest.approx(max(best["stopped"]["selection"]), abs=0.011)
    tables = render_tables(Report("tiny", rows))
    assert "drop memory units" in tables["sweep.md"] and "| train-time |" in tables["sweep.md"]


def predictions(folder: Path, row: dict[str, Any]) -> dict[str, Tensor]:
    return load_file(folder / "store" / "evaluation" / row["id"] / "predictions.safetensors")


def by_hand(folder: Path, row: dict[str, Any], weights: dict[str, Tensor]) -> Tensor:
    """Return the logits of a network that was built anew and given ``weights``."""
    experiment = open_session(as_training(row["config"]), places(folder)).experiment
    experiment.net.load_state_dict(weights)
    return experiment.predict({})["logits"].float()

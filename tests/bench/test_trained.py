"""A network that its user trained is edited and measured from its file, as if this package had trained it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.registry import MODELS
from vitmem.rows import Row, read_rows

PLUGIN = '''
from torch import nn

from vitmem.models.base import ImageShape, VisionModel
from vitmem.registry import MODELS


@MODELS.register("norm_mlp")
def norm_mlp(shape: ImageShape, *, width: int = 16) -> VisionModel:
    """A network with batch normalisation."""
    block = nn.Sequential(nn.Linear(shape.size**2, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))
    net = nn.Sequential(nn.Flatten(), block, nn.Linear(width, shape.num_classes))
    return VisionModel(net, ("1",), ("0", "3"))
'''
VIT = {"name": "vit", "patch_size": 4, "width": 12, "depth": 2, "heads": 2}
OTHER_CLASSES = {"head.weight": torch.zeros(7, 12), "head.bias": torch.zeros(7)}
RECIPE = {"epochs": 2, "batch_size": 50, "lr": 3e-3, "warmup_epochs": 1, "precision": "32"}
SUITE: dict[str, Any] = {
    "name": "first",
    "seeds": [0],
    "data": {"name": "digits", "train": 150, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "recipe": RECIPE,
    "statistics": {"labels": "exact"},  # sampled ones are drawn by the id of the training
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": ["last", "all"], "fraction": 0.1},
        {"method": "svd", "blocks": "last", "rank_fraction": 0.2},
        {"method": "magnitude", "blocks": "last", "fraction": 0.5},
    ],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a plug-in, and the rows and weights of suites that trained a vit and its network."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "mine.py").write_text(PLUGIN)
    for name, model in (("vit", VIT), ("norm_mlp", {"name": "norm_mlp"})):
        _, stored = run(folder, name=name, model=model, plugins=["mine.py"])
        save_file(load_file(stored / "model.safetensors"), folder / f"{name}.safetensors")
    yield folder
    MODELS.discard("norm_mlp")


def planned(folder: Path, **changes: Any) -> Any:
    suite = {key: value for key, value in {**SUITE, **changes}.items() if value is not None}
    (path := folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return make_plan(load_suite(path), path, folder)


def run(folder: Path, **changes: Any) -> tuple[list[Row], Path]:
    """Return the rows of the suite with ``changes``, and the folder of its training in the store."""
    plan = planned(folder, **changes)
    places = Places(Store(folder / "store"), folder, folder / "cache", "cpu")
    run_suite(plan, places, folder / "results")
    rows = read_rows(rows_path(folder / "results", plan.suite.name))
    return rows, folder / "store" / "training" / plan.cells[0].training.id


def measured(rows: list[Row]) -> dict[str, Any]:
    """Return by edit all that a row measures."""
    assert {row["status"] for row in rows} == {"ok"}
    keys = ("metrics", "selection", "outcomes", "counts", "data", "noise")
    return {json.dumps(row["config"]["edit"], sort_keys=True): [row[key] for key in keys] for row in rows}  # type: ignore[literal-required]


def vit_state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "vit.safetensors")


@pytest.mark.parametrize("name", ["vit", "norm_mlp"])
def test_rows_are_those_of_the_suite_that_trained_it(name: str, home: Path) -> None:
    first = read_rows(rows_path(home / "results", name))
    state = {f"module.{key}": value for key, value in load_file(home / f"{name}.safetensors").items()}
    torch.save({"model": state, "epoch": 4}, home / f"{name}.pt")
    model = {**(VIT if name == "vit" else {"name": name}), "trained": f"{name}.pt"}
    rows, training = run(home, name=f"{name}_again", model=model, recipe="none", plugins=["mine.py"])
    assert len(rows) == 5 and measured(rows) == measured(first)
    assert not {row["id"] for row in rows} & {row["id"] for row in first}
    assert {file.name for file in training.iterdir()} == {"training.json", "digests.json"}
    assert {row["costs"]["training_seconds"] for row in rows} == {0.0} and rows[0]["config"]["recipe"] == {}


def test_tables_and_plan_of_such_rows(home: Path) -> None:
    save_file(vit_state(home), home / "file.safetensors")
    run(home, name="told", model={**VIT, "trained": "file.safetensors"}, recipe=None)
    results = ["--results", str(home / "results")]
    assert CliRunner().invoke(app, ["tables", *results]).exit_code == 0
    table = (home / "results" / "told" / "tables" / "headline.md").read_text()
    assert "| vit | base |" in table and "nothing to remove: the base memorizes" in table
    place = [*results, "--store", str(home / "store"), "--data-dir", str(home)]
    told = CliRunner().invoke(app, ["plan", str(home / "suite.yaml"), *place]).output
    assert "told: 5 cells, 1 training, 1 statistics; 5 done" in told


class Trap:
    """What is no tensor."""


@pytest.mark.parametrize(
    ("content", "model", "says"),
    [
        (None, {**VIT, "depth": 3}, "not the weights of vit: of"),
        (None, {**VIT, "width": 24}, "that of vit for 1x8x8 images is"),
        (OTHER_CLASSES, VIT, "its classifier has 7 classes, the data have 10"),
        ({"head.bias": None}, VIT, "1 missing (first 'head.bias')"),
        ({"more": torch.ones(1)}, VIT, "1 unknown (first 'more')"),
        ({"note": Trap()}, VIT, "Trap, which needs code to be run, and nothing is unpickled"),
        ({"head.bias": torch.full((10,), torch.nan)}, VIT, "NaN or infinity in 'head.bias'"),
    ],
)
def test_wrong_checkpoints(
    content: dict[str, Any] | None, model: dict[str, Any], says: str, home: Path, tmp_path: Path
) -> None:
    state = {key: value for key, value in {**vit_state(home), **(content or {})}.items() if value is not None}
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"net\.pt") as error:
        run(tmp_path, model={**model, "trained": "net.pt"}, recipe=None)
    assert says in str(error.value) and "\n" not in str(error.value)
    assert not list((tmp_path / "store").rglob("training*")) and not (tmp_path / "results").exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"net\.pt: it holds torch\.nn\.modules\.linear\.Linear, which needs code"):
        run(tmp_path, model={**VIT, "trained": "net.pt"}, recipe=None)


def test_a_file_that_changes_is_another_training(home: Path, tmp_path: Path) -> None:
    save_file(vit_state(home), tmp_path / "net.safetensors")
    changes = {"model": {**VIT, "trained": "net.safetensors"}, "recipe": None}
    before = planned(tmp_path, **changes)
    save_file({**vit_state(home), "head.bias": torch.ones(10)}, tmp_path / "net.safetensors")
    assert planned(tmp_path, **changes).cells[0].training.id != before.cells[0].training.id
    with pytest.raises(InputError, match="its content has changed since planning"):
        run_suite(before, Places(Store(tmp_path / "store"), tmp_path, tmp_path / "cache", "cpu"), tmp_path / "results")


def test_a_file_of_a_store_that_changes_in_its_place(home: Path, tmp_path: Path) -> None:
    inside = tmp_path / "store" / "training" / "0123456789abcdef"
    inside.mkdir(parents=True)
    save_file(vit_state(home), inside / "model.safetensors")
    changes = {"model": {**VIT, "trained": str(inside / "model.safetensors")}, "recipe": None}
    run(tmp_path, **changes)
    save_file({**vit_state(home), "head.bias": torch.ones(10)}, inside / "model.safetensors")
    with pytest.raises(InputError, match="the trained weights of 'digits' changed"):
        run(tmp_path, **changes, edits=[{"method": "svd", "blocks": "all", "rank_fraction": 0.5}])


def test_the_network_before_the_training_is_not_known(home: Path) -> None:
    save_file(vit_state(home), home / "initial.safetensors")
    edits = [{"method": "none"}, {"method": "toward_init", "blocks": "last", "factor": 0.5}]
    rows, _ = run(home, name="initial", model={**VIT, "trained": "initial.safetensors"}, recipe=None, edits=edits)
    reasons = {row["config"]["edit"]["method"]: row.get("reason") for row in rows}
    assert reasons == {"none": None, "toward_init": "model 'vit': it came trained; its initial weights are not known"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model": {**VIT, "trained": "w"}},
            "is trained already; leave it out; to continue training from its file, pass the file as 'weights'",
        ),
        (
            {"model": VIT, "recipe": None},
            "field required, such as {epochs: 30} or a file's name; for a trained network",
        ),
        ({"model": {**VIT, "trained": "w"}, "recipe": None, "oracles": ["true_labels"]}, "'oracles' are trained"),
        ({"model": {**VIT, "trained": "w", "weights": "w"}, "recipe": None}, "'weights' or 'trained', got both"),
        (
            {"model": {"name": "timm/test_vit", "trained": "w", "pretrained": True}, "recipe": None},
            "'trained' or 'pretrained', got both",
        ),
        (
            {"data": {"name": "spectrum"}, "noise": None, "model": {"name": "llama", "trained": "w"}},
            "'trained' is for image models",
        ),
        (
            {"model": {**VIT, "trained": "w"}, "recipe": None, "edits": [{"method": "drop_memory"}]},
            "needs a recipe with 'example_tied'",
        ),
        ({"model": {**VIT, "trained": ["w", "w"]}, "recipe": None}, "comes twice"),
    ],
)
def test_suites_that_do_not_fit(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        planned(tmp_path, **changes)
    assert says in str(error.value) and "\n" not in str(error.value)

"""Recipes in a suite: ids, what is refused before anything is trained, float64, and rows of another optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from vitmem.bench.cells import Cell, as_training
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.bench.suite_checks import remarks
from vitmem.errors import InputError
from vitmem.protocols.image import image_experiment
from vitmem.recipe import Recipe
from vitmem.reports.report import Report
from vitmem.rows import Row, read_rows
from vitmem.specs import Statistics
from vitmem.training.fit import check_recipe, steps
from vitmem.training.optim import optimizer
from vitmem.training.schedule import schedule

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "configs" / "recipes"
TINY = yaml.safe_load((HERE / "tiny.yaml").read_text())
TEXT = yaml.safe_load((HERE / "tiny_text.yaml").read_text())
SGD = {"name": "sgd", "momentum": 0.9}


def write(folder: Path, recipe: dict[str, Any], suite: dict[str, Any] = TINY, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**suite, "recipe": {**suite["recipe"], **recipe}, **changes}))
    return path


def cells(path: Path) -> tuple[Cell, ...]:
    return make_plan(load_suite(path), path).cells


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), None, folder / "cache", "cpu")


def run(folder: Path, path: Path) -> list[Row]:
    run_suite(make_plan(load_suite(path), path), places(folder), folder / "results")
    return read_rows(rows_path(folder / "results", "tiny"))


def test_a_field_that_is_left_out_is_in_no_config(tmp_path: Path) -> None:
    known = {"epochs", "batch_size", "lr", "min_lr", "warmup_epochs", "weight_decay", "clip", "label_smoothing"}
    known |= {"crop", "flip", "precision", "curve_every"}
    plain = cells(write(tmp_path, {}))
    assert plain[0].config["recipe"].keys() == known
    named = cells(write(tmp_path, {"optimizer": {"name": "sgd"}, "compile": False, "warmup_epochs": 1}))
    assert named[0].config["recipe"] == {**plain[0].config["recipe"], "optimizer": "sgd"}
    assert named[0].id == cells(write(tmp_path, {"optimizer": "sgd"}))[0].id != plain[0].id


def test_a_sweep_and_a_row_of_it(tmp_path: Path) -> None:
    decays = [None, {"name": "multistep", "decay_t": [1, 2], "decay_rate": 0.1}, "cosine"]
    swept = {"optimizer": [None, "lion", SGD], "scheduler": decays, "clip": [1.0, None]}
    path = write(tmp_path, swept, edits=[{"method": "none"}])
    found = cells(path)
    assert len({cell.id for cell in found}) == 18
    for cell in found:
        assert as_training(cell.config).id == cell.training.id  # as a row has it
    path = write(tmp_path, {"warmup_epochs": None, "warmup_steps": 7}, edits=[{"method": "none"}])
    assert "warmup_epochs" not in cells(path)[0].config["recipe"]
    excluded = [{"recipe": {"optimizer": {"name": "sgd"}}}, {"recipe": {"optimizer": "lion"}}]
    path = write(tmp_path, {"optimizer": [None, "lion", SGD]}, edits=[{"method": "none"}], exclude=excluded)
    assert len(cells(path)) == 1


@pytest.mark.parametrize(
    ("suite", "recipe", "says"),
    [
        (TINY, {"warmup_steps": 5}, "give exactly one of 'warmup_epochs' and 'warmup_steps'"),
        (TINY, {"optimizer": 5}, "'optimizer': expected a name or a mapping such as {name: sgd, momentum: 0.9}, got 5"),
        (TINY, {"optimizer": {"momentum": 0.9}}, "'optimizer.name': field required"),
        (TINY, {"ema": 1}, "'ema': input should be less than 1"),
        (TINY, {"precision": "fp16"}, "input should be '16', 'bf16', '32' or '64', got 'fp16'"),
        (TEXT, {"drop_path": 0.1}, "model 'llama' has no 'drop_path'; leave it out of the recipe"),
        (TEXT, {"precision": "64"}, "precision '64' is for images, data 'spectrum' has none"),
    ],
)
def test_what_no_plan_has(tmp_path: Path, suite: dict[str, Any], recipe: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        cells(write(tmp_path, recipe, suite))
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suite", "recipe", "says"),
    [
        (TINY, {"optimizer": [None, "sgdd"]}, "unknown optimizer 'sgdd'; did you mean 'sgd'?"),
        (TINY, {"precision": ["32", "16"]}, "precision '16' (float16 with a loss scale) needs a CUDA device, got cpu"),
        (TEXT, {"layer_decay": 0.7}, "'layer_decay' needs the layer groups of a timm network"),
    ],
)
def test_what_is_refused_before_the_first_training(
    tmp_path: Path, suite: dict[str, Any], recipe: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path, write(tmp_path, recipe, suite))
    assert says in str(caught.value)
    assert not list(tmp_path.glob("store/training/*"))


def test_stochastic_depth_overrides_that_of_the_model(tmp_path: Path) -> None:
    cell = cells(write(tmp_path, {"drop_path": 0.4}))[0]
    assert "drop_path" not in cell.config["model"]
    net = image_experiment(cell.training, places(tmp_path)).net
    assert net.get_submodule("blocks.1.drop_path1").drop_prob == pytest.approx(0.4)
    own = cells(write(tmp_path, {}, model={**TINY["model"], "drop_path": 0.2}))[0]
    net = image_experiment(own.training, places(tmp_path)).net
    assert net.get_submodule("blocks.1.drop_path2").drop_prob == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"warmup_epochs": 1}, []),
        ({"warmup_epochs": None, "warmup_steps": 25}, ["the warm-up of 25 steps outlasts the training of 24"]),
        ({"ema": 0.99}, ["'ema' of 0.99 averages over about 100 steps, more than the 24 of the training"]),
        ({"ema": 0.9}, []),
    ],
)
def test_remarks(tmp_path: Path, recipe: dict[str, Any], says: list[str]) -> None:
    found = remarks(cells(write(tmp_path, recipe)))
    assert len(found) == len(says) and all(part in line for part, line in zip(says, found, strict=True))


def test_rows_of_another_recipe(tmp_path: Path) -> None:
    recipe = {
        **{"optimizer": SGD, "scheduler": {"name": "step", "decay_t": 6, "decay_rate": 0.1}, "lr": 0.1, "epochs": 8},
        **{"ema": 0.9, "drop_path": 0.1, "label_smoothing": 0.1, "weight_decay": 5e-4},
    }
    model = {"name": "residual_mlp", "width": 32, "hidden": 64}
    rows = run(tmp_path, write(tmp_path, recipe, model=model, edits=TINY["edits"][:2]))
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert all(row["config"]["recipe"]["optimizer"] == SGD and row["config"]["recipe"]["ema"] == 0.9 for row in rows)
    base = next(row for row in rows if row["config"]["edit"]["method"] == "none")
    assert base["metrics"]["clean_train"] > 0.4  # chance is 0.1
    average = "residual_mlp: measured and edited with the exponential moving average of its weights, decay 0.9 in"
    assert sum(average in line for line in Report("tiny", rows).notes) == 1


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_are_shipped_can_be_trained_with(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "recipe": str(file), "edits": [{"method": "none"}]}))
    (cell,) = cells(path)
    assert as_training(cell.config).id == cell.training.id and cell.training.recipe is not None
    check_recipe(cell.training.recipe, image_experiment(cell.training, places(tmp_path)).net, torch.device("cpu"))


def test_the_recipe_of_the_paper() -> None:
    recipe = Recipe.model_validate(yaml.safe_load((RECIPES / "vit_imagenet.yaml").read_text()))
    total, per_epoch = steps(recipe, 1_281_167)
    assert (total, per_epoch) == (93_900, 313)
    chosen = optimizer(torch.nn.Linear(2, 2), recipe)
    assert chosen.defaults["betas"] == (0.9, 0.999) and chosen.param_groups[0]["weight_decay"] == 0.3
    factor = schedule(chosen, recipe, total, per_epoch).lr_lambdas[0]
    assert [factor(k) for k in (0, 4_999, 9_999)] == pytest.approx([1e-4, 0.5, 1.0])
    assert [factor(k) for k in (10_000, 51_950, 93_900)] == pytest.approx([1.0, 0.5, 0.0])


def test_names_of_recipes(tmp_path: Path) -> None:
    path = write(tmp_path, {"optimizer": ["lion", SGD]}, edits=[{"method": "none"}])
    labels = [job.label for job in make_plan(load_suite(path), path).jobs()]
    assert ["optimizer=lion" in label for label in labels] == [True, False]
    assert "vit optimizer=sgd(momentum=0.9) seed 0" in labels[1]


def test_float64_throughout(tmp_path: Path) -> None:
    """Weights, logits and statistics; the reference is the same network in float32."""
    path = write(tmp_path, {"precision": "64", "epochs": 1})
    rows = run(tmp_path, path)
    assert [row["status"] for row in rows] == ["ok"] * 5
    (file,) = tmp_path.glob("store/training/*/model.safetensors")
    weights = load_file(file)
    assert {value.dtype for value in weights.values()} == {torch.float64}
    experiment = image_experiment(cells(path)[0].training, places(tmp_path))
    experiment.net.load_state_dict(weights)
    images = next(iter(experiment.batches(Statistics(images=20))[0]))[0]
    assert images.dtype == torch.float32
    logits = experiment.net.eval()(images)
    assert logits.dtype == torch.float64
    rounded = {name: value.float().double() for name, value in weights.items()}
    experiment.net.load_state_dict(rounded)
    assert 0 < float((experiment.net(images) - logits).abs().max()) < 1e-5

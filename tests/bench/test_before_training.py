"""What is wrong is told, and what is stored is checked, before hours of training are spent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import vitmem.protocols.image_training as vision
from vitmem.bench.experiment import Places
from vitmem.bench.manifest import write_manifest
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import DiskFullError, InputError
from vitmem.protocols.image import image_experiment
from vitmem.registry import MODELS
from vitmem.rows import read_rows

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())
SHORT = {**TINY, "recipe": {**TINY["recipe"], "epochs": 1}, "edits": [{"method": "none"}]}


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), None, folder / "cache", "cpu")


def run(folder: Path, **changes: Any) -> Outcome:
    suite = folder / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**SHORT, **changes}))
    return run_suite(make_plan(load_suite(suite), suite), places(folder), folder / "results")


@pytest.fixture
def broken() -> Iterator[None]:
    @MODELS.register("broken")
    def broken(shape: Any) -> Any:
        """A network whose constructor fails, and that knows no dropout."""
        raise ZeroDivisionError("width / 0 heads")

    yield
    MODELS.discard("broken")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"edits": [{"method": "svd", "blocks": 7, "rank_fraction": 0.1}]}, "expected numbers from 0 to 1, got 7"),
        (
            {"edits": [{"method": "svd", "blocks": "last", "layers": ["mlp.fc9"], "rank_fraction": 0.1}]},
            "'blocks.1.mlp.fc9' matches nothing",
        ),
        (
            {
                "model": {**TINY["model"], "pool": "mean"},
                "statistics": {"positions": "cls"},
                "edits": [{"method": "kfac", "blocks": "last", "fraction": 0.1}],
            },
            "needs a class token",
        ),
    ],
)
def test_an_edit_of_what_is_not_there(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run(tmp_path, **changes)
    assert not list(tmp_path.glob("store/training/*"))


@pytest.mark.usefixtures("broken")
def test_a_network_that_cannot_be_built_is_a_failed_row_and_the_others_go_on(tmp_path: Path) -> None:
    assert run(tmp_path, model=[{"name": "broken"}, TINY["model"]]) == Outcome(cells=2, found=0, made=2, failed=1)
    rows = {row["status"]: row for row in read_rows(rows_path(tmp_path / "results", "tiny"))}
    assert rows["failed"]["reason"] == "training: ZeroDivisionError: width / 0 heads"
    assert rows["ok"]["config"]["model"]["name"] == "vit"


@pytest.mark.usefixtures("broken")
def test_dropout_of_the_recipe(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**SHORT, "recipe": {"epochs": 1, "dropout": 0.3}}))
    (cell,) = make_plan(load_suite(suite), suite).cells
    net = image_experiment(cell.training, places(tmp_path)).net
    assert {m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)} >= {0.3}
    suite.write_text(yaml.safe_dump({**SHORT, "model": {"name": "broken"}, "recipe": {"epochs": 1, "dropout": 0.3}}))
    with pytest.raises(InputError, match="model 'broken' has no 'dropout'"):
        make_plan(load_suite(suite), suite)


def forget_rows(folder: Path) -> None:
    for name in ("results", "store/rows"):
        shutil.rmtree(folder / name)


def test_images_that_have_changed_since_the_training(tmp_path: Path) -> None:
    run(tmp_path)
    (path,) = tmp_path.glob("store/training/*/training.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "0" * 16}))
    write_manifest(path.parent, {})
    forget_rows(tmp_path)
    with pytest.raises(InputError, match=r"the data of 'digits' changed since this training; restore the old files"):
        run(tmp_path)


def test_a_run_that_ended_between_training_and_its_name_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    (whole,) = (path.parent for path in tmp_path.glob("store/training/*/training.json"))
    whole.rename(whole.with_name(f"{whole.name}.partial"))
    forget_rows(tmp_path)
    monkeypatch.setattr(vision, "train", None)
    assert run(tmp_path).made == 1
    assert (whole / "training.json").exists()


def test_a_full_disk_ends_the_run_and_leaves_no_failed_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("unexpected pos 64 vs 0: No space left on device")

    monkeypatch.setattr(vision, "train", full)
    with pytest.raises(DiskFullError, match="the disk is full"):
        run(tmp_path)
    assert not rows_path(tmp_path / "results", "tiny").exists()


def test_the_matched_rule_loses_no_more_than_it_may(tmp_path: Path) -> None:
    edits = [{"method": "none"}, {"method": "kfac", "blocks": "all", "match_drop": [0.0, 0.3]}]
    run(tmp_path, recipe={**TINY["recipe"], "epochs": 25}, edits=edits)
    rows = read_rows(rows_path(tmp_path / "results", "tiny"))
    found = {row["config"]["edit"].get("match_drop"): row for row in rows}
    base = found[None]["selection"]["validation"]
    assert found[0.0]["selection"]["validation"] >= base - 1e-9
    assert found[0.3]["selection"]["validation"] >= base - 0.3
    assert found[0.3]["edit"]["kept_pairs"] < found[0.0]["edit"]["kept_pairs"]


def test_the_training_images_do_not_depend_on_the_number_of_validation_images(tmp_path: Path) -> None:
    parts = []
    for validation in (50, 150):
        suite = tmp_path / "tiny.yaml"
        suite.write_text(yaml.safe_dump({**SHORT, "data": {**TINY["data"], "validation": validation}}))
        (cell,) = make_plan(load_suite(suite), suite).cells
        parts.append(image_experiment(cell.training, places(tmp_path)).noisy)
    assert torch.equal(parts[0].data.train.index, parts[1].data.train.index)
    assert torch.equal(parts[0].given, parts[1].given)

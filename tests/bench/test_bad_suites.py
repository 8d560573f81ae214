"""Suites in which something is wrong: one sentence before anything is trained, or failed rows beside whole ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import main
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel
from vitmem.registry import MODELS, NOISES
from vitmem.rows import read_rows

GOOD: dict[str, Any] = {"name": "symmetric", "rate": 0.2}
SUITE: dict[str, Any] = {
    "name": "bad",
    "seeds": [0],
    "data": {"name": "digits", "train": 100, "validation": 50},
    "noise": GOOD,
    "model": {"name": "mixer", "patch_size": 4, "width": 16, "depth": 1},
    "recipe": {"epochs": 1, "batch_size": 50, "precision": "32"},
    "edits": [{"method": "none"}],
}
NOWHERE = {"name": "transition", "file": "nowhere.csv"}


def edit(method: str, **options: Any) -> dict[str, Any]:
    return {"method": method, "blocks": "all", **options}


def run(folder: Path, **changes: Any) -> list[dict[str, Any]]:
    """Run the suite with ``changes`` and return its rows; the reason of each failed one is one line."""
    suite = folder / "bad.yaml"
    suite.write_text(yaml.safe_dump({**SUITE, **changes}))
    places = Places(Store(folder / "store"), folder, folder / "cache", "cpu")
    plan = make_plan(load_suite(suite), suite)
    run_suite(plan, places, folder / "results")
    rows = read_rows(rows_path(folder / "results", "bad"))
    assert {row["id"] for row in rows} == {cell.id for cell in plan.cells}
    assert all("\n" not in row.get("reason", "") for row in rows)
    return rows


def reasons(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    """Return by method why its row failed, ``None`` for a whole one."""
    return {row["config"]["edit"]["method"]: row.get("reason") for row in rows}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"noise": [GOOD, NOWHERE]}, "nowhere.csv: no such file"),
        ({"noise": [GOOD, {"name": "transition", "matrix": [[1, 0], [0, 1]]}]}, "expected 10 x 10 numbers"),
        ({"noise": [GOOD, {"name": "pmd", "rate": 0.1, "probabilities": "nowhere"}]}, "nowhere: no such file"),
        ({"noise": [GOOD, {"name": "human", "column": "aggre_label"}]}, "came without human labels"),
        ({"noise": [GOOD, {"name": "column", "column": "noisy_5"}]}, "unknown column of data set 'digits'"),
        ({"noise": [GOOD, {**GOOD, "rate": 1.0}], "oracles": ["without_noisy"]}, "every training label is wrong"),
        ({"data": [SUITE["data"], {"name": "digits", "train": 9999}]}, "'train': expected a number from 1 to 1297"),
        ({"edits": [edit("finetune", lr=float("inf"))]}, "'.inf' is not a finite number"),
        ({"edits": [edit("ssd", discovery=0)]}, "'discovery': input should be greater than 0"),
        (
            {"noise": {"name": "transition", "matrix": [[float("nan")] * 10] * 10}},
            "'.nan' is not a finite number",
        ),
    ],
)
def test_what_the_user_can_mend_is_said_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path, **changes)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.glob("store/training/*"))


def test_it_is_one_line_on_stderr_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(yaml.safe_dump({**SUITE, "noise": [GOOD, NOWHERE]}))
    monkeypatch.setattr("sys.argv", ["vitmem", "run", "bad.yaml", "--cache-dir", "cache", "--device", "cpu"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert (
        capsys.readouterr().err == "vitmem: nowhere.csv: no such file; give one inside --data-dir, or its whole path\n"
    )


def test_nothing_to_forget_and_nothing_to_keep(tmp_path: Path) -> None:
    edits = [
        {"method": "none"},
        edit("ssd"),
        edit("finetune", steps=1),
        edit("cuts", alpha=1, epochs=1),
        edit("kfac", fraction=0.3),
    ]
    rows = run(tmp_path, noise=[{"name": "none"}, {**GOOD, "rate": 1.0}], edits=edits)
    clean, wrong = ([r for r in rows if r["config"]["noise"]["name"] == name] for name in ("none", "symmetric"))
    left_out = "leave the method out here"
    assert reasons(clean) == {
        **dict.fromkeys(("none", "finetune", "cuts", "kfac")),
        "ssd": f"edit: 'ssd' has no example to forget: none is known; {left_out}",
    }
    assert reasons(wrong) == {
        **dict.fromkeys(("none", "kfac")),
        **{m: f"edit: '{m}' has no example to keep: none is known; {left_out}" for m in ("ssd", "finetune")},
        "cuts": "edit: images of 'proxy_share' with the right label: expected 2, but there is none",
    }


def test_edits_that_diverge(tmp_path: Path) -> None:
    large: dict[str, dict[str, Any]] = {
        "finetune": {"steps": 5},
        "eu_k": {"steps": 5},
        **{m: {"epochs": 3} for m in ("del", "scrub", "salun", "neggrad_plus")},
        **{m: {"epochs": 2, "alpha": 1, "proxy_share": 0.2} for m in ("cuts", "random_task_vector")},
    }
    edits = [edit(method, lr=1e30, **options) for method, options in large.items()]
    whole = [{"method": "none"}, edit("kfac", fraction=0.5)]
    found = reasons(run(tmp_path, edits=[*edits, edit("isotropic_noise", relative_norm=1e39), *whole]))
    assert found.pop("none") is None and found.pop("kfac") is None
    assert str(found.pop("isotropic_noise")).endswith("NaN or infinity in the edited weight")
    assert found == {method: f"{method}: the loss is not finite; lower lr" for method in large}


@pytest.fixture
def plugins() -> Iterator[None]:
    class Spoiled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if self.training else torch.full_like(x, torch.nan)

    @MODELS.register("spoiled")
    def spoiled(shape: ImageShape) -> VisionModel:
        """A network that trains, and sees nothing afterwards."""
        block = nn.Sequential(nn.Linear(shape.channels * shape.size**2, 8), nn.ReLU())
        net = nn.Sequential(nn.Flatten(), Spoiled(), block, nn.Linear(8, shape.num_classes))
        return VisionModel(net, blocks=("2",), layers=("0",), positions="all", prefix_tokens=0)

    @NOISES.register("shorter")
    def shorter(clean: np.ndarray, context: Any, rng: np.random.Generator) -> np.ndarray:
        """One label too few."""
        return clean[:-1]

    yield
    MODELS.discard("spoiled")
    NOISES.discard("shorter")


@pytest.mark.usefixtures("plugins")
def test_statistics_of_nothing_but_nan(tmp_path: Path) -> None:
    found = run(tmp_path, model=[{"name": "spoiled"}, SUITE["model"]], edits=[edit("kfac", fraction=0.5), edit("ssd")])
    broken, whole = ([r for r in found if (r["config"]["model"]["name"] == "spoiled") == x] for x in (True, False))
    assert reasons(broken) == {
        "kfac": "layer '2.0': NaN or infinity in its activations; was the model trained to the end?",
        "ssd": "ssd: NaN or infinity in the gradient of layer '2.0'",
    }
    assert reasons(whole) == {"kfac": None, "ssd": None}


@pytest.mark.usefixtures("plugins")
def test_trainings_that_diverge_and_labels_of_the_wrong_length(tmp_path: Path) -> None:
    recipes = [{**SUITE["recipe"], "lr": 1e30}, {**SUITE["recipe"], "batch_size": 100, "lr": 1e38, "warmup_epochs": 0}]
    rows = run(tmp_path, noise=[{"name": "shorter"}, GOOD], recipe=[*recipes, SUITE["recipe"]])
    said = sorted({str(row.get("reason")) for row in rows})
    assert len(rows) == 6 and sum(row["status"] == "ok" for row in rows) == 1
    assert said[0] == "None" and len(said) == 4
    assert said[1].startswith("training: NaN or infinity in the weight 'stem.proj.weight' after the last step")
    assert said[2].startswith("training: labels of noise 'shorter': expected 100 of them, one per image, got an array")
    assert said[3].startswith("training: the loss is nan in epoch 0, step 1; lower lr or clip")


def test_matching_without_a_selection_half(tmp_path: Path) -> None:
    edits = [{"method": "none"}, edit("svd", match_loss=0.1), edit("kfac", match_drop=0.1)]
    found = reasons(run(tmp_path, data={**SUITE["data"], "validation": 1}, edits=edits))
    assert found.pop("none") is None
    for method, rule in (("svd", "match_loss"), ("kfac", "match_drop")):
        assert str(found[method]).startswith(f"edit: '{rule}' measures nan on the selection half before any edit")

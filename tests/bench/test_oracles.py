"""Oracles end to end on real digits: what they are trained on, where they stop, and rows that pair with the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from vitmem.bench.cells import as_training
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.stages import open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.metrics.labels import accuracy
from vitmem.outcomes import unpacked
from vitmem.protocols.image import ImageExperiment
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.rows import read_rows
from vitmem.training import curves

ORACLES = ["without_noisy", "true_labels", "early_stopped"]
EPOCHS = 10
CONTENT = {
    "name": "tiny",
    "seeds": [0],
    "data": {"name": "digits", "train": 200, "validation": 100},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 32, "depth": 2, "heads": 2},
    "recipe": {
        "epochs": EPOCHS,
        "batch_size": 20,
        "lr": 0.005,
        "min_lr": 1.0,
        "warmup_epochs": 0,
        "curve_every": 1,
        "precision": "32",
    },
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "last", "fraction": 0.001}],
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**CONTENT, **changes}))
    return path


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), None, folder / "cache", "cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("oracles")
    # the oracles alone first: each then has to train the base that it is measured beside
    alone = write(folder, oracles=ORACLES, exclude=[{"oracle": None}])
    outcome = run_suite(make_plan(load_suite(alone), alone), places(folder), folder / "results")
    assert outcome == Outcome(cells=3, found=0, made=3, failed=0)
    suite = write(folder, oracles=ORACLES)
    outcome = run_suite(make_plan(load_suite(suite), suite), places(folder), folder / "results")
    assert outcome == Outcome(cells=5, found=3, made=2, failed=0)
    return folder


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    rows = read_rows(rows_path(folder / "results", "tiny"))
    return {row["config"].get("oracle", row["config"]["edit"]["method"]): row for row in rows}


def trained_on(folder: Path, oracle: str) -> tuple[NoisyImages, NoisyImages]:
    """Return what an oracle is trained on, and the images that it is measured on."""
    config = rows_of(folder)[oracle]["config"]
    experiment = open_session(as_training(config), places(folder)).experiment
    assert isinstance(experiment, ImageExperiment)
    return experiment.trained_on(), experiment.noisy


def test_ids_of_what_is_no_oracle_do_not_know_of_them(tmp_path: Path) -> None:
    without, path = write(tmp_path), tmp_path / "tiny.yaml"
    ids = [cell.id for cell in make_plan(load_suite(without), without).cells]
    with_oracles = make_plan(load_suite(write(tmp_path, oracles=ORACLES)), path)
    assert [cell.id for cell in with_oracles.cells][: len(ids)] == ids
    assert len({cell.training.id for cell in with_oracles.cells}) == len(with_oracles.jobs()) == 4


def test_without_noisy_never_sees_a_noisy_image(finished: Path) -> None:
    part, whole = trained_on(finished, "without_noisy")
    noisy = set(whole.data.train.index[whole.noisy].tolist())
    assert len(noisy) == 40 and len(part.given) == 160 and not part.noisy.any()
    module = NoisyImagesModule(part, batch_size=50, seed=0)
    seen = [int(i) for epoch in range(2) for batch in module.batches(epoch) for i in part.data.train.index[batch[2]]]
    assert len(seen) == 320 and not noisy & set(seen)
    places = {int(i): n for n, i in enumerate(whole.data.train.index)}
    rows = torch.tensor([places[int(i)] for i in part.data.train.index])
    assert torch.equal(part.data.train.images, whole.data.train.images[rows])
    assert torch.equal(part.given, whole.true[rows]) and torch.equal(part.data.mean, whole.data.mean)


def test_true_labels_are_all_right(finished: Path) -> None:
    right, whole = trained_on(finished, "true_labels")
    assert int((right.given != whole.data.train.labels).sum()) == 0 and len(right.given) == 200
    assert right.labels.realised == 0 and whole.labels.realised == pytest.approx(0.2)


def test_early_stopping_is_at_the_best_epoch_of_the_selection_half(finished: Path) -> None:
    row = rows_of(finished)["early_stopped"]
    experiment = open_session(as_training(row["config"]), places(finished)).experiment
    assert isinstance(experiment, ImageExperiment)
    kept = load_file(finished / "store" / "training" / row["ids"]["training"] / "model.safetensors")
    by_epoch = []
    for epoch, weights in enumerate(weights_by_epoch(finished, row["config"]), start=1):
        experiment.net.load_state_dict(weights)
        logits = experiment.predict({})["validation_logits"].float()
        rows = experiment.halves.validation_selection
        by_epoch.append(accuracy(logits[rows].argmax(1), experiment.noisy.data.validation.labels[rows]))
        if epoch == row["stopped"]["epoch"]:
            assert all(torch.equal(kept[name], value) for name, value in weights.items())
    assert len(by_epoch) == EPOCHS > row["stopped"]["epoch"] > 1
    assert row["stopped"]["selection"] == pytest.approx(by_epoch)
    assert row["stopped"]["epoch"] == int(np.argmax(by_epoch)) + 1
    assert row["selection"]["validation"] == max(by_epoch)


def weights_by_epoch(folder: Path, config: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    """Return the weights after each epoch of the base's training, as they are when a point of the curves is told."""
    plain = {k: v for k, v in config.items() if k not in ("edit", "oracle")}
    experiment = open_session(as_training(plain), places(folder)).experiment
    target = folder / "again"
    target.mkdir()
    out = []

    def told(text: str) -> None:
        out.append({name: value.clone() for name, value in experiment.net.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves.log, "info", told)
        experiment.train(target)
    return out


def test_rows_pair_with_those_of_the_base(finished: Path) -> None:
    rows = rows_of(finished)
    assert set(rows) == {"none", "kfac", *ORACLES}
    base = rows["none"]
    stored = {name: predictions(finished, row) for name, row in rows.items()}
    for name, row in rows.items():
        for key in ("index", "given", "true", "validation_index"):
            assert torch.equal(stored[name][key], stored["none"][key])
        assert row["counts"]["noisy_report"] == base["counts"]["noisy_report"]
        assert {k: len(unpacked(v)) for k, v in row["outcomes"].items()} == {
            k: len(unpacked(v)) for k, v in base["outcomes"].items()
        }
        same = stored[name]["logits"].argmax(1) == stored["none"]["logits"].argmax(1)
        assert same.all() == (name == "none") and row["noise"] == base["noise"]
    assert rows["without_noisy"]["metrics"]["memorized"] < base["metrics"]["memorized"]
    assert len({row["ids"]["training"] for row in rows.values()}) == 4


def predictions(folder: Path, row: dict[str, Any]) -> dict[str, torch.Tensor]:
    return load_file(folder / "store" / "evaluation" / row["id"] / "predictions.safetensors")


def test_tables_have_a_line_for_each(finished: Path) -> None:
    tables = render_tables(Report("tiny", list(rows_of(finished).values())))
    names = ["retrained without noisy", "true labels", "early stopped"]
    for table, others in (("chosen", ["K-FAC"]), ("sweep", ["K-FAC"])):
        lines = [line.split(" | ")[1] for line in tables[f"{table}.md"].splitlines() if line.startswith("| vit")]
        assert lines == ["base", *names, *others]
    epoch = json.dumps(rows_of(finished)["early_stopped"]["stopped"]["epoch"])
    assert f"- vit: stopped early after epoch {epoch}\n" in tables["chosen.md"]
    compared = [
        line.split(" | ")[2] for line in tables.get("comparison.md", "").splitlines() if line.startswith("| vit")
    ]
    assert not compared or compared == ["base", *names] * 3
    for table in ("matched.md", "front.md"):
        assert not any(line.startswith("| ") and names[0] in line for line in tables[table].splitlines())


def test_oracles_know_labels_of_images_alone(tmp_path: Path) -> None:
    path = write(tmp_path, data={"name": "spectrum"}, noise=None, model={"name": "llama"}, oracles=["true_labels"])
    with pytest.raises(InputError, match="'oracles' use the true labels of images; data 'spectrum' has none"):
        make_plan(load_suite(path), path)
    with pytest.raises(InputError, match=r"'oracles.0': input should be 'without_noisy', 'true_labels' or"):
        load_suite(write(tmp_path, oracles=["early"]))

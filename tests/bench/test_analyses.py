"""``vitmem analyse`` on two trained seeds: every file, and its numbers found another way."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from vitmem.bench.analyses.detection import cleanlab_scores, cross_validated, flagged
from vitmem.bench.analyses.learned import first_learned
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.stages import Session, open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.kfac import Factors
from vitmem.specs import Statistics

HERE = Path(__file__).parent
LAST = "blocks.1.mlp.fc1"  # behind it only the class token is read, so the statistics see all of its gradient
Lines = list[dict[str, str]]


def analyse(suite: Path, folder: Path, *options: str) -> Any:
    places = [f"--{name}={folder / name.split('-')[0]}" for name in ("store", "results", "cache-dir")]
    return CliRunner().invoke(app, ["analyse", str(suite), "--device=cpu", *places, *options])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which two seeds of the tiny suite were trained and analysed."""
    folder = tmp_path_factory.mktemp("analyses")
    content = yaml.safe_load((HERE / "tiny.yaml").read_text())
    recipe = {**content["recipe"], "precision": "32"}
    (folder / "two.yaml").write_text(yaml.safe_dump({**content, "name": "two", "seeds": [0, 1], "recipe": recipe}))
    out = analyse(folder / "two.yaml", folder)
    assert out.exit_code == 0, out.exception
    yield folder


def read(folder: Path, name: str) -> Lines:
    with (folder / "results" / "two" / "analyses" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def trained(folder: Path) -> list[tuple[Session, Factors]]:
    """Return each seed's trained experiment with its statistics."""
    out = []
    for job in make_plan(load_suite(folder / "two.yaml"), folder / "two.yaml").jobs():
        session = open_session(job.training, Places(Store(folder / "store"), None, folder / "cache", "cpu"))
        weights = folder / "store" / "training" / job.training.id / "model.safetensors"
        session.experiment.net.load_state_dict(load_file(weights))
        session.experiment.net.eval()
        (id,) = {cell.statistics_id for cell in job.cells if cell.statistics is not None}
        parts = [Factors.load(path) for path in (folder / "store" / "statistics" / str(id)).glob("*/*.safetensors")]
        out.append((session, Factors({path: layer for part in parts for path, layer in part.layers.items()})))
    return out


def test_spectrum(folder: Path) -> None:
    lines = read(folder, "spectrum")
    assert len(lines) == 8 and {line["seed"] for line in lines} == {"0", "1"}
    for (session, factors), seed in zip(trained(folder), "01", strict=True):
        (line,) = [x for x in lines if x["layer"] == LAST and x["seed"] == seed]
        weight = session.experiment.net.get_submodule(LAST).weight.detach().double().numpy()
        singular = np.linalg.svd(weight, compute_uv=False)
        values = np.linalg.eigvalsh(factors.layers[LAST].a.numpy())[::-1].clip(0)
        assert float(line["effective_rank_weight"]) == pytest.approx(np.exp(entropy(singular)) / 32)
        assert float(line["effective_rank_a"]) == pytest.approx(np.exp(entropy(values)) / 32, rel=1e-6)
        assert float(line["a_10"]) == pytest.approx(values[:3].sum() / values.sum())
        assert float(line["weight_50"]) == pytest.approx((singular[:16] ** 2).sum() / (weight**2).sum())


def test_fisher(folder: Path) -> None:
    session, _ = trained(folder)[0]
    (line,) = [x for x in read(folder, "fisher") if x["layer"] == LAST and x["seed"] == "0"]
    net, own = session.experiment.net, []
    for inputs, labels in (session.experiment.examples().forget, session.experiment.examples().keep):
        squares = []
        for n in range(20):
            net.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs[n : n + 1]), labels[n : n + 1]).backward()
            squares.append(float(net.get_submodule(LAST).weight.grad.double().square().sum()))
        own.append(np.mean(squares))
    assert float(line["own_memorized_given"]) == pytest.approx(own[0], rel=1e-4)
    assert float(line["own_other_given"]) == pytest.approx(own[1], rel=1e-4)
    assert float(line["noisy_share_given"]) == pytest.approx(40 * own[0] / (40 * own[0] + 360 * own[1]), rel=1e-4)
    assert line["examples"] == "20"


def test_stability(folder: Path) -> None:
    lines = [x for x in read(folder, "stability") if x["layer"] == LAST and x["side"] == "a"]
    assert [(x["seed"], x["with"]) for x in lines] == [
        ("0", "half"), ("0", "initial"), ("1", "half"), ("1", "initial"), ("1", "seed 0")
    ]  # fmt: skip
    first, second = (np.linalg.eigh(f.layers[LAST].a.numpy())[1][:, ::-1][:, :3] for _, f in trained(folder))
    projected = np.trace(first @ first.T @ second @ second.T) / 3
    assert float(lines[-1]["overlap"]) == pytest.approx(projected, rel=1e-6)
    assert float(lines[-1]["chance"]) == pytest.approx(3 / 32)
    assert all(0 <= float(x["overlap"]) <= 1 + 1e-9 for x in lines)


def with_statistics(folder: Path, name: str, statistics: list[dict[str, Any]]) -> Lines:
    """Return the stability of the same trainings in a suite that collects other ``statistics``."""
    content = yaml.safe_load((folder / "two.yaml").read_text())
    suite = folder / f"{name}.yaml"
    suite.write_text(yaml.safe_dump({**content, "name": name, "statistics": statistics}))
    out = analyse(suite, folder, "--only=stability")
    assert out.exit_code == 0, out.exception
    with (folder / "results" / name / "analyses" / "stability.csv").open() as file:
        return list(csv.DictReader(file))


def test_of_several_kinds_of_statistics_every_seed_has_the_plain_ones(folder: Path) -> None:
    odd = [{"temperature": 10}, {"labels": "given"}, {"crop": 1}, {"labels": "exact"}, {"held_out": True}]
    assert with_statistics(folder, "kinds", [*odd, {}]) == read(folder, "stability")


def test_the_halves_are_collected_at_the_temperature_of_the_whole(folder: Path) -> None:
    hot, plain = with_statistics(folder, "hot", [{"temperature": 10}]), read(folder, "stability")

    def halves(lines: Lines, side: str) -> list[float]:
        return [float(x["overlap"]) for x in lines if x["with"] == "half" and x["side"] == side]

    assert halves(hot, "a") == halves(plain, "a")  # no label enters what goes into a layer
    assert halves(hot, "g") != halves(plain, "g")


def test_detection(folder: Path) -> None:
    session, _ = trained(folder)[1]
    lines = {x["score"]: x for x in read(folder, "detection") if x["seed"] == "1"}
    assert list(lines) == ["loss", "margin", "cleanlab_self_confidence", "cleanlab_margin"]
    experiment: Any = session.experiment
    noisy, half = experiment.noisy, experiment.halves.noisy_report
    batch = [torch.cat(parts) for parts in zip(*experiment.batches(Statistics())[0], strict=True)]
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(experiment.net(batch[0]), batch[1], reduction="none")
    wrong = np.isin(np.arange(400), half.numpy())
    rows = wrong | ~noisy.noisy.numpy()
    assert float(lines["loss"]["auroc"]) == pytest.approx(roc_auc_score(wrong[rows], loss.numpy()[rows]), abs=1e-4)
    assert {(x["images"], x["noisy"]) for x in lines.values()} == {("380", "20")}
    assert lines["loss"]["flagged"] == "" and 0 < float(lines["cleanlab_margin"]["flagged"]) < 1


def test_cleanlab_finds_labels_that_were_swapped() -> None:
    generator = np.random.default_rng(0)
    true = np.arange(300) % 3
    features = 4 * np.eye(3)[true] + generator.normal(size=(300, 3))
    given = true.copy()
    given[:30] = (given[:30] + 1) % 3
    probabilities = cross_validated(features, given)
    assert probabilities.shape == (300, 3) and np.allclose(probabilities.sum(1), 1)
    for score in cleanlab_scores(probabilities, given).values():
        assert roc_auc_score(np.arange(300) < 30, score.numpy()) > 0.97
    scored = cleanlab_scores(probabilities, given)["cleanlab_self_confidence"]
    np.testing.assert_allclose(scored, -probabilities[np.arange(300), given])
    assert flagged(probabilities, given) == pytest.approx(0.1, abs=0.03)


def test_learned(folder: Path) -> None:
    two = folder / "two.yaml"
    places = [f"--{name}={folder / name.split('-')[0]}" for name in ("store", "results", "cache-dir")]
    out = CliRunner().invoke(app, ["run", str(two), "--device=cpu", *places])
    assert out.exit_code == 0, out.exception
    assert analyse(two, folder, "--only=learned").exit_code == 0
    lines = [x for x in read(folder, "learned") if x["seed"] == "0" and x["method"] == "svd"]
    session, _ = trained(folder)[0]
    experiment: Any = session.experiment
    job = make_plan(load_suite(two), two).jobs()[0]
    kept = load_file(folder / "store" / "training" / job.training.id / "learned.safetensors")
    assert kept["epochs"].tolist() == [1, 2, 3] and kept["hits"].shape == (3, 400)
    hits = kept["hits"][:, kept["rows"].argsort()].numpy()
    stored = {
        cell.config["edit"]["method"]: load_file(
            folder / "store" / "evaluation" / cell.evaluation_id / "predictions.safetensors"
        )
        for cell in job.cells
    }
    said = {name: x["logits"].argmax(1).numpy() for name, x in stored.items()}
    given, true = experiment.noisy.given.numpy(), experiment.noisy.true.numpy()
    half = experiment.halves.noisy_report.numpy()
    recited = half[said["none"][half] == given[half]]
    first = np.array([next((e for e in (1, 2, 3) if hits[e - 1, n]), 0) for n in recited])
    assert len(recited) and {int(x["epoch"]) for x in lines} == set(first.tolist())
    for line in lines:
        some = recited[first == int(line["epoch"])]
        assert int(line["images"]) == len(some) and line["of"] == "3"
        assert float(line["memorized"]) == pytest.approx((said["svd"][some] == given[some]).mean())
        assert float(line["recovered"]) == pytest.approx((said["svd"][some] == true[some]).mean())


def test_first_learned() -> None:
    hits = torch.tensor([[0, 1, 0], [1, 0, 0], [1, 1, 0]]).bool()
    assert first_learned(hits, torch.tensor([10, 20, 25])).tolist() == [20, 10, 0]


def test_only_some_and_unknown_names(folder: Path) -> None:
    error = analyse(folder / "two.yaml", folder, "--only=spectra").exception
    assert isinstance(error, InputError) and str(error) == "unknown analysis 'spectra'; did you mean 'spectrum'?"
    other = folder / "elsewhere"
    out = CliRunner().invoke(
        app,
        ["analyse", str(folder / "two.yaml"), f"--store={folder / 'store'}", f"--results={other}",
         f"--cache-dir={folder / 'cache'}", "--device=cpu", "--only=spectrum"],
    )  # fmt: skip
    assert out.exit_code == 0, out.exception
    assert [path.name for path in (other / "two" / "analyses").iterdir()] == ["spectrum.csv"]
    assert (other / "two" / "analyses" / "spectrum.csv").read_bytes() == (
        folder / "results" / "two" / "analyses" / "spectrum.csv"
    ).read_bytes()

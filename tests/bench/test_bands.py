"""The analysis ``bands`` on images and on text: a row for each band of each layer, and one layer by hand."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.stages import Session, open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.kfac import Factors

HERE = Path(__file__).parent


def bands(suite: Path, folder: Path) -> Any:
    places = [f"--{name}={folder / name.split('-')[0]}" for name in ("store", "results", "cache-dir")]
    return CliRunner().invoke(app, ["analyse", str(suite), "--only=bands", "--device=cpu", *places])


def read(name: str, folder: Path, basis: str = "kfac") -> list[dict[str, str]]:
    with (folder / "results" / name / "analyses" / "bands.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["basis"] == basis]


def trained(suite: Path, folder: Path) -> tuple[Session, Factors]:
    """Return the trained experiment of a suite of one training, and its statistics, from the store."""
    (job,) = make_plan(load_suite(suite), suite).jobs()
    session = open_session(job.training, Places(Store(folder / "store"), None, folder / "cache", "cpu"))
    session.experiment.net.load_state_dict(
        load_file(folder / "store" / "training" / job.training.id / "model.safetensors")
    )
    files = sorted(folder.glob("store/statistics/*/*/factors.safetensors"))
    parts = [Factors.load(path) for path in files]
    return session, Factors({path: layer for part in parts for path, layer in part.layers.items()}, parts[0].metadata)


def norms(session: Session, factors: Factors, layer: str, inputs: Any, kept: Any, basis: str = "kfac") -> np.ndarray:
    """Return the norms (n, 4) in the four bands of what enters ``layer``, from dense products in numpy."""
    seen: list[torch.Tensor] = []
    handle = session.experiment.net.get_submodule(layer).register_forward_hook(
        lambda _m, args, _o: seen.append(args[0])
    )
    with torch.no_grad():
        session.experiment.net.eval()(inputs)
    handle.remove()
    rows = kept(seen[0]).double().numpy()
    weight = session.experiment.net.get_submodule(layer).weight.detach().double().numpy()
    a = factors.layers[layer].a.numpy() if basis == "kfac" else weight.T @ weight
    vectors = np.linalg.eigh(a)[1][:, ::-1]
    width = len(vectors)
    ends = [0, round(0.1 * width), round(0.25 * width), round(0.5 * width), width]
    return np.stack([np.linalg.norm(rows @ vectors[:, a:b], axis=1) for a, b in pairwise(ends)], 1)


def check(rows: list[dict[str, str]], memorized: np.ndarray, other: np.ndarray) -> None:
    """Compare the four rows of one layer with norms (n, 4) and (m, 4)."""
    expected = memorized.mean(0) / other.mean(0)
    np.testing.assert_allclose([float(row["ratio"]) for row in rows], expected, rtol=1e-4)
    shares: list[np.ndarray] = []
    for key, found in (("memorized", memorized), ("other", other)):
        share = (found**2 / (found**2).sum(1, keepdims=True)).mean(0)
        shares.append(share)
        np.testing.assert_allclose([float(row[f"{key}_share"]) for row in rows], share, rtol=1e-4)
        assert {row[f"{key}_positions"] for row in rows} == {str(len(found))}
    np.testing.assert_allclose([float(row["share_ratio"]) for row in rows], shares[0] / shares[1], rtol=1e-4)


def test_images(tmp_path: Path) -> None:
    suite = HERE / "tiny.yaml"
    out = bands(suite, tmp_path)
    assert out.exit_code == 0, out.exception
    assert out.output.splitlines()[-2] == f"wrote {tmp_path / 'results' / 'tiny' / 'analyses' / 'bands.csv'}"
    session, factors = trained(suite, tmp_path)
    rows = read("tiny", tmp_path)
    assert [(row["from"], row["to"]) for row in rows[:4]] == [
        ("0.0", "0.1"),
        ("0.1", "0.25"),
        ("0.25", "0.5"),
        ("0.5", "1.0"),
    ]
    assert [row["layer"] for row in rows[::4]] == list(factors.layers) and len(rows) == 4 * len(factors.layers)
    examples, layer = session.experiment.examples(), "blocks.1.mlp.fc1"
    for basis in ("kfac", "svd"):
        sets = [
            norms(session, factors, layer, part[0][:20], lambda x: x[:, 0], basis)
            for part in (examples.forget, examples.keep)
        ]
        check([row for row in read("tiny", tmp_path, basis) if row["layer"] == layer], *sets)


def test_text(tmp_path: Path) -> None:
    suite = HERE / "tiny_text.yaml"
    out = bands(suite, tmp_path)
    assert out.exit_code == 0, out.exception
    session, factors = trained(suite, tmp_path)
    rows, examples, layer = read("tiny_text", tmp_path), session.experiment.examples(), list(factors.layers)[-1]
    assert [row["layer"] for row in rows[::4]] == list(factors.layers)
    sets = []
    for tokens, labels in (examples.forget, examples.keep):
        counted = labels[:4, 1:] != -100  # the strings of the selection half, and as many others
        sets.append(norms(session, factors, layer, tokens[:4], lambda x, counted=counted: x[:, :-1][counted]))
    assert len(sets[0]) == 4 * 54
    check([row for row in rows if row["layer"] == layer], *sets)


def test_a_suite_without_statistics(tmp_path: Path) -> None:
    suite = tmp_path / "plain.yaml"
    content = yaml.safe_load((HERE / "tiny.yaml").read_text())
    suite.write_text(yaml.safe_dump({**content, "edits": [{"method": "none"}]}))
    error = bands(suite, tmp_path).exception
    assert isinstance(error, InputError) and "no cell reads statistics" in str(error)
    assert not (tmp_path / "results").exists()

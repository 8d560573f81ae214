"""A suite on images and labels of one's own: a folder in a format of the Hub, a file of labels, a run, its rows."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.data.load import load_data
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.errors import InputError
from vitmem.registry import DATA, NOISES
from vitmem.rows import read_rows

COUNT = 240
SUITE = {
    "name": "own",
    "seeds": [0],
    "data": {"name": "hub", "path": "pictures", "held_out": 0.25, "size": 16, "train": 120},
    "noise": [
        {"name": "file", "path": "labels.csv", "key": "mine"},
        {"name": "column", "column": "noisy_25"},
    ],
    "model": {"name": "vit", "patch_size": 8, "width": 12, "depth": 1, "heads": 1},
    "recipe": {"epochs": 1, "precision": "32"},
    "edits": [{"method": "none"}],
}


@pytest.fixture
def folder(tmp_path: Path, real: Path) -> Path:
    """The first images of Imagenette, and ``labels.csv``, whose column ``mine`` is their ``noisy_25`` by name."""
    table = pq.read_table(real / "imagenette64" / "train.parquet").slice(0, COUNT)
    (tmp_path / "pictures").mkdir()
    pq.write_table(table, tmp_path / "pictures" / "train.parquet")
    names = load(tmp_path).data.classes
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = [(names[label], "x") for label in table.column("noisy_25").to_pylist()]
        csv.writer(file).writerows([("mine", "note"), *rows])
    return tmp_path


def load(folder: Path, noise: str = "none", **params: str) -> NoisyImages:
    data = load_data(
        DATA.get("hub").parse({"path": "pictures", "held_out": 0.25, "size": 16}, "data"), folder, folder / "cache"
    )
    return add_noise(data, NOISES.get(noise).parse(params, "noise"), 0, folder)


def test_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("own.yaml").write_text(yaml.safe_dump(SUITE))
    command = ["--data-dir", str(folder), "--cache-dir", "cache", "--device", "cpu"]
    out = CliRunner().invoke(app, ["run", "own.yaml", *command], catch_exceptions=False)
    assert out.exit_code == 0 and "images are held out for validation, about 0.25 of each class" in out.output
    assert "noise column column noisy_25 and file key mine path labels.csv" in " ".join(out.output.split())
    by_file, by_column = sorted(
        read_rows(Path("results/own/rows.jsonl")), key=lambda row: row["config"]["noise"]["name"] == "column"
    )
    assert by_file["config"]["noise"].keys() == {"name", "path", "key"}
    assert by_file["config"]["noise"]["path"]["path"] == "labels.csv"
    table = pq.read_table("pictures/train.parquet", columns=["label", "noisy_25"])
    wrong = np.not_equal(*(table.column(name).to_numpy() for name in ("label", "noisy_25")))
    for row in (by_file, by_column):
        assert row["status"] == "ok" and row["counts"]["train"] == 120
        assert 30 < row["counts"]["validation"] < 90
        assert row["noise"]["realised"] == row["counts"]["noisy"] / 120 == pytest.approx(wrong.mean(), abs=0.12)
    # the subset is of the data and the seed alone: both have the same images, and so the same labels
    assert by_file["noise"]["sha256"] == by_column["noise"]["sha256"] and by_file["id"] != by_column["id"]
    assert by_file["data"] == by_column["data"]


def test_labels_are_shown(folder: Path) -> None:
    words = ["noise", "file", "--set", "path=labels.csv", "--set", "key=mine", "--data-dir", str(folder)]
    data = ["--data", "{name: hub, path: pictures, held_out: 0.25, size: 16}", "--cache-dir", str(folder / "cache")]
    out = CliRunner().invoke(app, [*words, *data], catch_exceptions=False).output
    assert "file path labels.csv key mine on hub: " in out


def test_labels_of_the_file_are_those_of_the_column(folder: Path, real: Path) -> None:
    """Of all images that are left in training, by their position in the parquet file."""
    column, named = load(folder, "column", column="noisy_25"), load(folder, "file", path="labels.csv", key="mine")
    assert named.labels.sha256 == column.labels.sha256 and column.labels.changed.any()
    given = pq.read_table(folder / "pictures" / "train.parquet").column("noisy_25").to_numpy()
    assert np.array_equal(named.labels.given, given[named.data.train.index])


def test_the_published_file_of_human_labels_serves(folder: Path, real: Path) -> None:
    """CIFAR-10N by ``file``: of the first images, by their positions; its 50,000 labels alone are too many for them."""
    rows = pq.read_table(real / "cifar10" / "train.parquet").slice(0, COUNT)
    pq.write_table(rows, folder / "pictures" / "train.parquet")
    file = real / "cifar10" / "cifar10n.npz"
    with pytest.raises(InputError, match=r"expected 240 labels, .* got 50000; .* needs a column 'index'"):
        load(folder, "file", path=str(file), key="worse_label")
    with np.load(file, allow_pickle=False) as stored:
        published = stored["worse_label"]
    np.savez(folder / "placed.npz", worse_label=published, index=np.arange(len(published)))
    noisy = load(folder, "file", path="placed.npz", key="worse_label")
    assert np.array_equal(noisy.labels.given, published[noisy.data.train.index])
    assert 0.25 < noisy.labels.realised < 0.55


def test_labels_that_are_hardly_meant_are_told(folder: Path) -> None:
    whole = pq.read_table(folder / "pictures" / "train.parquet").column("label").to_numpy()
    for labels, says in (
        (whole, "given labels are the true ones"),
        (
            (whole + 1) % 10,
            "noise 'file': 0.0 % of the given labels are true, fewer than by chance; is their order right?",
        ),
    ):
        np.savez(folder / "labels.npz", labels=labels)
        assert says in load(folder, "file", path="labels.npz").data.remarks[-1]
    assert not any("noise" in remark for remark in load(folder, "column", column="noisy_25").data.remarks)


def test_plans_and_lists_load_neither_torch_nor_the_library(folder: Path) -> None:
    (folder / "own.yaml").write_text(yaml.safe_dump(SUITE))
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom vitmem.cli.main import app\n"
        f"for words in (['plan', 'own.yaml', '--data-dir', {str(folder)!r}], ['list', 'data'], ['list', 'noises']):\n"
        "    print(CliRunner().invoke(app, words, catch_exceptions=False).output)\n"
        "print([m for m in ('torch', 'datasets') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder).stdout
    assert out.rstrip().endswith("[]")
    for words in (
        "own: 2 cells, 2 trainings",
        "hub file vit",
        "hub column vit",
        "(needs vitmem[hub])",
        "(path=required, key=None)",
    ):
        assert words in out, words

"""What ``vitmem noise`` prints and draws, and that its labels are those of a suite's cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from vitmem.bench.experiment import Places
from vitmem.bench.store import Store
from vitmem.bench.suite import cells_of, load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.protocols.image import image_experiment

Call = Callable[..., str]
SUITE = """
name: cell
seeds: [3]
data: {name: digits, train: 500, validation: 20}
noise: {name: symmetric, rate: 0.2}
model: {name: vit, patch_size: 4, width: 16, depth: 1, heads: 1}
recipe: {epochs: 1}
edits: [{method: none}]
"""


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Return a function that calls ``vitmem noise`` on the digits and gives what it prints."""

    def run(*arguments: str, data: str = "digits") -> str:
        fixed = ["--data", data, "--cache-dir", str(tmp_path / "cache"), "--data-dir", str(tmp_path)]
        out = CliRunner().invoke(app, ["noise", *arguments, *fixed])
        if out.exception is not None:
            raise out.exception
        return out.output

    return run


def test_rates_matrix_and_hash(call: Call) -> None:
    lines = call("asymmetric", "--rate", "0.4", "--set", "rate_basis=overall").splitlines()
    assert lines[0] == "asymmetric rate 0.4 rate_basis overall on digits: 519 of 1,297 labels wrong, seed 0"
    assert lines[1] == "nominal 40.00 %, realised 40.02 %"
    assert lines[3].split() == ["true", "class", "images", "wrong", "%", *map(str, range(10))]
    row = lines[4 + 7].split()  # seven is taken for one
    assert row[0] == "7" and float(row[2]) == pytest.approx(float(row[3 + 1])) and float(row[3 + 7]) < 100
    assert lines[4].split()[2:] == ["0.00", "100.00", *["."] * 9]
    assert lines[-2].startswith("sha256 ") and lines[-2].endswith("(version 1)")


def test_chosen_images_that_keep_their_label(call: Call) -> None:
    assert "of 259 chosen images keep their true label" in call("symmetric_inclusive", "--rate", "0.2")
    assert "nominal none, realised 0.00 %\n" in call("none")


def test_many_classes_have_their_likeliest_wrong_labels(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for split in ("train", "val"):
        for c in range(14):
            (folder / split / f"c{c:02}").mkdir(parents=True)
            for i in range(2):
                pixels = np.full((4, 4, 3), 10 * c, dtype=np.uint8)
                matplotlib.image.imsave(folder / split / f"c{c:02}" / f"{i}.png", pixels)
    arguments = ["--data", "{name: image_folder, folder: pictures, size: 4}", "--data-dir", str(tmp_path)]
    sheet = tmp_path / "sheet.png"
    out = CliRunner().invoke(
        app,
        ["noise", "pair", "--rate", "1", *arguments, "--cache-dir", str(tmp_path / "cache"), "--sheet", str(sheet)],
    )
    lines = out.output.splitlines()
    assert lines[3].endswith("its likeliest wrong labels")
    assert lines[4].split() == ["c00", "2", "100.00", "c01", "100.00"]
    assert lines[17].split()[-2:] == ["c00", "100.00"]
    assert sheet.exists()


def test_the_labels_are_those_of_a_suites_cell(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(SUITE)
    (cell,) = cells_of(load_suite(path), path)
    experiment = image_experiment(cell.training, Places(Store(tmp_path / "store"), None, tmp_path / "cache"))
    data = "{name: digits, train: 500}"
    found = json.loads(call("symmetric", "--set", "rate=0.2", "--seed", "3", "--json", data=data))
    assert found["sha256"] == experiment.noisy.labels.sha256 and found["wrong"] == found["chosen"] == 100
    assert np.array(found["transition"]).shape == (10, 10)
    assert found["noise"] == cell.training.noise.config and found["nominal"] == 0.2 and found["realised"] == 0.2
    assert json.loads(call("symmetric", "--rate", "0.2", "--json", data=data))["sha256"] != found["sha256"]


def test_the_sheet_is_a_picture(call: Call, tmp_path: Path) -> None:
    sheets = []
    for name in ("one.png", "deeper/two.png"):
        out = call("pair", "--rate", "0.05", "--sheet", str(tmp_path / name))
        assert f"wrote {tmp_path / name}" in out
        sheets.append(matplotlib.image.imread(tmp_path / name))
    assert np.array_equal(*sheets)
    height, width, _ = sheets[0].shape
    assert width == 1296 and height == 1266  # six rows of eight
    ink = (sheets[0][:, :, :3] < 0.5).all(2)
    assert ink.mean() > 0.2  # the digits are white on black
    none_wrong = call("none", "--sheet", str(tmp_path / "right.png"))
    assert "0 of 1,297 labels wrong" in none_wrong and (tmp_path / "right.png").exists()


def test_a_file_in_the_data_folder(call: Call, tmp_path: Path) -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(10), 1797)
    save_file({"probabilities": table, "index": np.arange(1797)}, tmp_path / "clean.safetensors")
    out = call("ambiguous", "--rate", "0.1", "--set", "probabilities=clean.safetensors")
    assert "130 of 1,297 labels wrong" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["symmetrc"], "unknown noise 'symmetrc'; did you mean 'symmetric'?"),
        (["symmetric"], "parameters (noise 'symmetric'): 'rate': field required"),
        (["symmetric", "--set", "rate=[0.1, 0.2]"], "expected one value for each parameter, got lists"),
        (["symmetric", "--set", "rate"], "--set: expected key=value, got 'rate'"),
        (["symmetric", "--set", "rate=[0.1"], "--set: expected a value such as 0.1 or [3, 5], got '[0.1'"),
        (["symmetric", "--rate", "0.1", "--set", "stratfied=true"], "did you mean 'stratified'?"),
        (["pmd", "--rate", "0.1", "--set", "probabilities=x.safetensors"], "x.safetensors: no such file"),
        (["human", "--set", "column=aggre_label"], "came without human labels"),
        (["pair", "--rate", "0.1", "--sheet", "x.foo"], "cannot write the sheet (Format 'foo' is not supported"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(call: Call, arguments: list[str], says: str) -> None:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("data", "says"), [("spectrum", "is for images"), ("[1]", "expected a name or a mapping")])
def test_data_that_are_no_images(call: Call, data: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call("symmetric", "--rate", "0.1", data=data)

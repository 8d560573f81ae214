"""Files edited on disk: the same weights as those of the method in memory, and nothing else changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from vitmem.edits.base import EditContext
from vitmem.edits.kfac import Kfac
from vitmem.errors import DiskFullError, InputError, VitmemError
from vitmem.kfac import Factors, find_layers, weight_matrix
from vitmem.language.offline.edit import edit_folder
from vitmem.offline.output import new_folder

Make = Callable[..., Any]


def state(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in load_file(file).items()}


def in_memory(model: nn.Module, factors: Factors, mass: float) -> Any:
    return Kfac(mass=mass).edit(EditContext(model, find_layers(model, list(factors.layers)), factors, seed=0))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_same_weights_as_in_memory(saved: Make, tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    one = saved(name, dtype, size="10KB")
    assert len(list(one.folder.glob("model-*.safetensors"))) > 1
    expected = in_memory(one.model, one.factors, 0.6)
    reports = edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    edited = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert edited.dtype == dtype
    AutoTokenizer.from_pretrained(tmp_path / "out")
    for path, weight in expected.weights.items():
        found, before = (weight_matrix(m.get_submodule(path)) for m in (edited, one.model))
        scale = float(weight.abs().max())
        assert torch.allclose(found.double(), weight.double(), rtol=2 * torch.finfo(dtype).eps, atol=1e-6 * scale)
        assert float((found - before).double().norm() / before.double().norm()) > 0.1
        known, report = expected.reports[path].as_dict(), reports[path].as_dict()
        assert report == pytest.approx(known, rel=1e-3)
    changed = {f"{path}.weight" for path in expected.weights}
    before, after = state(one.folder), state(tmp_path / "out")
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == changed
    ids = torch.arange(8)[None]
    with torch.no_grad():
        assert not torch.equal(edited(ids).logits, one.model(ids).logits)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_mass_one_leaves_every_bit(saved: Make, tmp_path: Path, name: str) -> None:
    one = saved(name, torch.bfloat16)
    edit_folder(one.folder, one.file, tmp_path / "out", mass=1)
    for file in one.folder.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_the_record(saved: Make, tmp_path: Path) -> None:
    one = saved("llama", metadata={"data": "abc"})
    reports = edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    record = json.loads((tmp_path / "out" / "vitmem_edit.json").read_text())
    assert record["mass"] == 0.6 and record["model_type"] == "llama" and record["method"] == "kfac"
    assert record["factors"]["sha256"] == hashlib.sha256(one.file.read_bytes()).hexdigest()
    assert record["factors"]["data"] == "abc" and record["factors"]["told_by"] == "weights"
    assert torch.__version__.startswith(record["environment"]["torch"])
    assert list(record["layers"]) == list(reports) == sorted(one.factors.layers)
    for path, numbers in record["layers"].items():
        assert numbers["before"] != numbers["after"]
        assert numbers["kept_pairs"] == reports[path].kept_pairs and 0.6 <= numbers["kept_mass"] < 0.7
        assert {"kept_energy", "relative_change", "cast_error", "total_pairs"} <= numbers.keys()


def test_statistics_in_another_type_know_the_file(saved: Make, tmp_path: Path) -> None:
    one = saved("llama", torch.bfloat16)
    wide = tmp_path / "wide"
    one.model.float().save_pretrained(wide)  # the same values
    edit_folder(wide, one.file, tmp_path / "out", mass=0.6)
    with torch.no_grad():
        one.model.model.layers[2].mlp.up_proj.weight[0, 0] += 0.01
    one.model.save_pretrained(wide)
    with pytest.raises(InputError, match=r"layer 'model.layers.2.mlp.up_proj' had other weights"):
        edit_folder(wide, one.file, tmp_path / "other", mass=0.6)
    assert not (tmp_path / "other").exists()


def test_a_base_model_is_stored_without_its_prefix(saved: Make, tmp_path: Path) -> None:
    one = saved("gpt2")
    bare = {name.removeprefix("transformer."): t for name, t in load_file(one.folder / "model.safetensors").items()}
    save_file(bare, one.folder / "model.safetensors", {"format": "pt"})
    edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    edited = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for path, weight in in_memory(one.model, one.factors, 0.6).weights.items():
        assert torch.allclose(weight_matrix(edited.get_submodule(path)), weight, atol=1e-6)


@pytest.mark.parametrize(
    ("choice", "paths"),
    [
        ({"blocks": [2]}, ["model.layers.2.mlp.gate_proj", "model.layers.2.mlp.up_proj"]),
        ({"layers": ["mlp.gate_proj"]}, ["model.layers.1.mlp.gate_proj", "model.layers.2.mlp.gate_proj"]),
        ({"blocks": "last", "layers": ["mlp.up*"]}, ["model.layers.2.mlp.up_proj"]),
    ],
)
def test_some_of_the_layers(saved: Make, tmp_path: Path, choice: dict[str, Any], paths: list[str]) -> None:
    one = saved("llama")
    assert list(edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6, **choice)) == paths
    before, after = state(one.folder), state(tmp_path / "out")
    assert sorted(n for n in before if not torch.equal(before[n], after[n])) == [f"{path}.weight" for path in paths]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"blocks": [0]}, "--blocks: no statistics of any layer in 'model.layers.0'; 'vitmem fit' collects them"),
        ({"blocks": [3]}, "expected numbers from 0 to 2, got 3"),
        ({"layers": ["mlp.down_proj"]}, "no statistics of layer 'model.layers.1.mlp.down_proj'"),
        ({"layers": ["mlp.act_fn"]}, "'model.layers.1.mlp.act_fn' matches no linear layer of LlamaForCausalLM"),
        ({"mass": 0.0}, "--mass: expected a number in (0, 1], got 0.0"),
        ({"mass": 60.0}, "--mass: expected a number in (0, 1], got 60.0"),
    ],
)
def test_choices_that_do_not_fit(saved: Make, tmp_path: Path, choice: dict[str, Any], says: str) -> None:
    one = saved("llama")
    with pytest.raises(InputError) as caught:
        edit_folder(one.folder, one.file, tmp_path / "out", **{"mass": 0.6, **choice})
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _torn(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def _quantised(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.gate_proj.weight"
    save_file({**tensors, name: tensors[name].to(torch.int8)}, folder / "model.safetensors", {"format": "pt"})


def _cut(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.gate_proj.weight"
    save_file({**tensors, name: tensors[name][:, :8].contiguous()}, folder / "model.safetensors", {"format": "pt"})


def _shard_missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')


def _shard_elsewhere(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')


def _renamed(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({f"x.{n}": t for n, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"})


def _wider(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))


def _unknown(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "nothing_known"}')


def _with(name: str) -> Callable[[Path], None]:
    """Return what puts a tensor ``name`` beside those of the model."""

    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        save_file({**tensors, name: torch.zeros(2, 16)}, folder / "model.safetensors", {"format": "pt"})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_with("model.layers.1.mlp.gate_proj.lora_A.weight"), "an adapter adds to them, and an edit would not be"),
        (_with("model.layers.1.mlp.gate_proj.weight_g"), "weights are computed from others"),
        (_with("model.layers.1.mlp.gate_proj.parametrizations.weight.original0"), "weights are computed from others"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "'adapter_config.json' in it: weights are computed"),
        (lambda f: (f / "config.json").unlink(), "no config.json in it"),
        (_pickled, "pickled weights are not read"),
        (_torn, "not a whole safetensors file"),
        (_quantised, "expected a tensor of type F64, F32, F16, BF16, got I8"),
        (_cut, "'model.layers.1.mlp.gate_proj' is stored as (40, 8), its config says (40, 16)"),
        (_shard_missing, "model-1.safetensors: no such file"),
        (_shard_elsewhere, "expected names of files beside it, got '../other.safetensors'"),
        (_renamed, "no tensor 'model.layers.1.mlp.gate_proj.weight' for layer"),
        (_wider, "layer 'model.layers.1.mlp.gate_proj' is 48 x 16, the statistics are of a 40 x 16 layer"),
        (_unknown, "no config of a causal model of transformers"),
    ],
)
def test_folders_that_cannot_be_edited(saved: Make, tmp_path: Path, spoil: Callable[[Path], Any], says: str) -> None:
    one = saved("llama")
    spoil(one.folder)
    with pytest.raises(InputError) as caught:
        edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_statistics_of_another_architecture_are_refused(saved: Make, tmp_path: Path) -> None:
    one, other = saved("llama"), saved("gpt2")
    with pytest.raises(InputError, match=r"'transformer.h.1.mlp.c_fc' is not a linear layer of LlamaForCausalLM"):
        edit_folder(one.folder, other.file, tmp_path / "out", mass=0.6)


def test_statistics_without_digests_are_taken_by_their_shapes_and_it_is_said(
    saved: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = saved("llama")
    Factors(one.factors.layers, {k: v for k, v in one.factors.metadata.items() if k != "weights"}).save(one.file)
    edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    assert "only shapes tell" in caplog.messages[0]
    assert json.loads((tmp_path / "out" / "vitmem_edit.json").read_text())["factors"]["told_by"] == "shapes"


def test_what_is_there_already_is_not_overwritten(saved: Make, tmp_path: Path) -> None:
    one = saved("llama")
    for out in (one.folder, one.file):
        before = {p: p.read_bytes() for p in one.folder.iterdir()}
        with pytest.raises(InputError, match="exists and is not an empty folder"):
            edit_folder(one.folder, one.file, out, mass=0.6)
        assert {p: p.read_bytes() for p in one.folder.iterdir()} == before
    (tmp_path / "empty").mkdir()
    edit_folder(one.folder, one.file, tmp_path / "empty", mass=0.6)
    assert (tmp_path / "empty" / "config.json").is_file()


def test_other_copies_of_the_weights_are_left_behind(saved: Make, tmp_path: Path) -> None:
    one = saved("llama")
    for name in ("pytorch_model.bin", "consolidated.safetensors", ".gitattributes", "LICENSE", "model.py"):
        (one.folder / name).write_text("x")
    edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"LICENSE", "model.py", "config.json", "tokenizer.json", "model.safetensors"} <= names
    assert not names & {"pytorch_model.bin", "consolidated.safetensors", ".gitattributes"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_nothing(
    saved: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    one = saved("llama")

    def full(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("vitmem.kfac.stored.Stored.overwrite", full)
    with pytest.raises(DiskFullError if number == errno.ENOSPC else OSError):
        edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    assert not list(tmp_path.glob("out*"))


def test_a_killed_edit_leaves_no_folder_and_the_next_one_clears_up(saved: Make, tmp_path: Path) -> None:
    one = saved("llama")
    program = (
        "import os, signal, sys; from pathlib import Path; from vitmem.language.offline import edit\n"
        "edit.log.info = lambda text: text.startswith('[2') and os.kill(os.getpid(), signal.SIGKILL)\n"
        "edit.edit_folder(*map(Path, sys.argv[1:]), mass=0.6)"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", program, str(one.folder), str(one.file), str(out)])
    assert done.returncode == -signal.SIGKILL
    partial = tmp_path / "out.partial"
    assert partial.is_dir() and not out.exists()
    (partial / "left.txt").write_text("x")
    edit_folder(one.folder, one.file, out, mass=0.6)
    assert not partial.exists() and not (out / "left.txt").exists()


def test_numbers_that_do_not_fit_the_type_are_an_error(saved: Make, tmp_path: Path) -> None:
    one = saved("llama", torch.float16)
    tensors = load_file(one.folder / "model.safetensors")
    name = "model.layers.1.mlp.gate_proj.weight"
    tensors[name][0] = torch.inf
    save_file(tensors, one.folder / "model.safetensors", {"format": "pt"})
    Factors(one.factors.layers, {}).save(one.file)
    with pytest.raises(VitmemError, match=r"'model.layers.1.mlp.gate_proj': NaN or infinity"):
        edit_folder(one.folder, one.file, tmp_path / "out", mass=0.6)
    assert not list(tmp_path.glob("out*"))


def test_two_edits_do_not_write_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with new_folder(out) as partial:
        (partial / "x").write_text("x")
        with pytest.raises(InputError, match="another edit is being written there"), new_folder(out):
            pass
        assert (partial / "x").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "x"]

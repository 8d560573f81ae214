"""Checkpoints as people have them: what is read, what is said of the rest, and what is refused for which reason."""

from __future__ import annotations

import argparse
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vitmem.errors import InputError
from vitmem.models.matching import check_shapes, match
from vitmem.models.weights import read_weights


def network(channels: int = 3) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 5)))


STATE = network().state_dict()
ADAM = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}


def under(prefix: str, state: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in state.items()}


OTHER = {key: value + 1 for key, value in STATE.items()}
CONTENTS: dict[str, tuple[Any, str]] = {
    "plain": (STATE, ""),
    "ordered": (OrderedDict(STATE), ""),
    "parallel": (under("module."), "the prefix 'module.' taken off"),
    "lightning": (
        {"state_dict": {**under("model."), "loss.weight": torch.ones(2)}, "epoch": 3, "optimizer_states": [ADAM]},
        "the prefix 'model.' taken off; left out 'epoch', 'optimizer_states', 'loss.weight'",
    ),
    "compiled": (under("_orig_mod."), "the prefix '_orig_mod.' taken off"),
    "nested": (under("module._orig_mod.net."), "the prefix 'module._orig_mod.net.' taken off"),
    "own prefix": (under("backbone."), "the prefix 'backbone.' taken off"),
    "model": ({"model": STATE, "optimizer": ADAM}, "left out 'optimizer'"),
    "averaged beside": ({"state_dict": STATE, "state_dict_ema": OTHER}, "left out 'state_dict_ema'"),
    "averaged first": ({"model_ema": OTHER, "model": STATE}, "left out 'model_ema'"),
    "averaged alone": ({"model_ema": STATE, "epoch": 1}, "left out 'epoch'"),
    "averaged inside": ({**under("ema_model.", OTHER), **under("model.")}, "the prefix 'model.' taken off"),
    "model_state_dict": ({"model_state_dict": STATE, "best": 0.5}, "left out 'best'"),
    "state in state": ({"model": {"state_dict": STATE, "name": "x"}}, "left out 'model.name'"),
    "numbers beside": ({**STATE, "epoch": 7}, "left out 'epoch'"),
    "counted operations": ({**STATE, "total_ops": torch.ones(1)}, "left out 'total_ops'"),
    "not counted": ({k: v for k, v in STATE.items() if "num_batches" not in k}, ""),
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("suffix", [".pt", ".pth.tar", ".ckpt", ".bin"])
def test_read(name: str, suffix: str, tmp_path: Path) -> None:
    content, told = CONTENTS[name]
    path = tmp_path / f"net{suffix}"
    torch.save(content, path)
    weights, net = read_weights(path), network()
    found = match(weights, net, "mynet")
    state = check_shapes(weights, found.names, net, "mynet")
    assert all(torch.equal(state[key], STATE[key]) for key in STATE if key in state)
    assert set(STATE) - set(state) <= {"1.num_batches_tracked"}
    said = found.account(weights)
    assert said.startswith(f"{path}: {told}") if told else said == ""


@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod."])
def test_safetensors(prefix: str, tmp_path: Path) -> None:
    save_file(under(prefix), tmp_path / "net.safetensors")
    found = match(read_weights(tmp_path / "net.safetensors"), network(), "mynet")
    assert found.names == {key: f"{prefix}{key}" for key in STATE} and found.prefix == prefix


class Trap:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.mkdir, ("trapped",)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"model": STATE, "args": argparse.Namespace(lr=1)}, "it holds argparse.Namespace, which needs code to be run"),
        (network(), "it holds torch.nn.modules.container.Sequential, which needs code"),
        ({"state_dict": STATE, "callback": Trap()}, "which needs code to be run, and nothing is unpickled"),
        (torch.ones(3), "expected a state dict, got a single tensor"),
        ({"generator": STATE, "discriminator": STATE}, "got the keys 'generator', 'discriminator'"),
        ({"epoch": 3}, "expected a state dict, or one under state_dict"),
        ({**STATE, "0.weight": torch.full((4, 3, 3, 3), torch.nan)}, "NaN or infinity in '0.weight'"),
        ({"a": {"state_dict": {}}}, "got the keys 'a'"),
    ],
)
def test_refused_for_the_true_reason(content: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "net.pth")
    with pytest.raises(InputError, match=r"^net.pth: ") as error:
        read_weights(Path("net.pth"))
    assert says in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 300
    assert not Path("trapped").exists()


@pytest.mark.parametrize(
    ("bytes_", "says"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "a pointer of Git LFS"),
        (b"<!doctype html>", "not a file of torch.save"),
        (pickle.dumps(Trap()), "a damaged file of torch"),
    ],
)
def test_no_files_of_torch(bytes_: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.bin").write_bytes(bytes_)
    with pytest.raises(InputError, match=says):
        read_weights(Path("net.bin"))
    assert not Path("trapped").exists()


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({**STATE, "queue": torch.ones(1)}, "1 unknown (first 'queue')"),
        ({k: v for k, v in under("module.").items() if "2.0" not in k}, "2 missing (first '2.0.weight')"),
    ],
)
def test_other_networks(state: dict[str, Tensor], says: str, tmp_path: Path) -> None:
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(InputError) as error:
        match(read_weights(tmp_path / "net.safetensors"), network(), "mynet")
    assert says in str(error.value)

"""A classifier's file edited on a folder of images: what changes, what loads, and the way back, every bit of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import vitmem.offline.written as written
from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import EditContext
from vitmem.edits.iterated import Iterated
from vitmem.edits.kfac import Kfac
from vitmem.errors import InputError
from vitmem.kfac import Factors, find_layers, fit, state_digest
from vitmem.offline.record import Record
from vitmem.offline.request import Request
from vitmem.offline.vision import edit_checkpoint
from vitmem.specs import seed_from

SIZE, CLASSES, IMAGES = 32, 5, 7
EDITED = [f"blocks.{n}.mlp.fc{i}" for n in (3, 4, 5) for i in (1, 2)]
REQUEST = Request(model="timm/test_vit", size=SIZE, settings={"mass": 0.9})


def network(name: str = "test_vit") -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, img_size=SIZE, num_classes=CLASSES).eval()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Return what saves the tiny ViT as any script would, in a type and a format."""

    def save(dtype: torch.dtype = torch.float32, suffix: str = ".safetensors", wrapped: bool = False) -> Path:
        state = {name: tensor.to(dtype) for name, tensor in network().state_dict().items()}
        path = tmp_path / f"net{suffix}"
        if suffix == ".safetensors":
            save_file(state, path, {"epoch": "3"})
        else:
            torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
        return path

    return save


def bytes_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def statistics(net: nn.Module, photos: Path) -> Factors:
    """Return what the engine alone collects, from images read here: timm's ViT has mean and std 0.5."""
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(photos.iterdir())])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    labels, task = torch.zeros(IMAGES, dtype=torch.int64), VisionTask("cls", 1)
    layers = find_layers(net, EDITED)
    return fit(net.float(), layers, task, [(images, labels)], seed=seed_from("statistics", 0))


def in_memory(net: nn.Module, photos: Path) -> dict[str, Tensor]:
    """Return what the engine alone makes of the weights."""
    return Kfac(mass=0.9).edit(EditContext(net, find_layers(net, EDITED), statistics(net, photos), seed=0)).weights


@pytest.mark.parametrize(
    ("dtype", "suffix", "wrapped"),
    [
        (torch.float32, ".safetensors", False),
        (torch.bfloat16, ".safetensors", False),
        (torch.float16, ".safetensors", False),
        (torch.float32, ".pth", False),
        (torch.bfloat16, ".pt", True),
    ],
)
def test_there_and_back(
    dtype: torch.dtype, suffix: str, wrapped: bool, saved: Callable[..., Path], photos: Path, tmp_path: Path
) -> None:
    source, out = saved(dtype, suffix, wrapped), tmp_path / "edited.safetensors"
    untouched = bytes_of(source)
    done = edit_checkpoint(source, photos, out, REQUEST)
    before, after = {k: v.to(dtype) for k, v in network().state_dict().items()}, load_file(out)
    changed = [k for k, v in before.items() if not torch.equal(v, after[k])]
    assert sorted(changed) == sorted(f"{path}.weight" for path in EDITED) and list(done.reports) == EDITED
    assert all(v.dtype == dtype for v in after.values())

    net = timm.create_model("test_vit", img_size=SIZE, num_classes=CLASSES, checkpoint_path=str(out))
    assert all(torch.equal(v, after[k].float()) for k, v in net.state_dict().items())
    start = network()
    start.load_state_dict({k: v.float() for k, v in before.items()}, strict=True)
    for path, weight in in_memory(start, photos).items():
        found = after[f"{path}.weight"].float()
        assert float((found - weight).norm() / weight.norm()) < max(1e-3, torch.finfo(dtype).eps)
        assert float((found - before[f"{path}.weight"].float()).norm() / weight.norm()) > 0.1

    record = Record.open(tmp_path / "edited.json")
    record.undo(tmp_path / "back.safetensors")
    assert state_digest(load_file(tmp_path / "back.safetensors")) == state_digest(before)
    if suffix == ".safetensors":
        assert bytes_of(tmp_path / "back.safetensors") == untouched
    record.dial(0.25, tmp_path / "quarter.safetensors")
    quarter = load_file(tmp_path / "quarter.safetensors")
    for name, tensor in before.items():
        expected = (0.25 * tensor.double() + 0.75 * after[name].double()).to(dtype) if name in changed else tensor
        assert torch.equal(quarter[name], expected), name
    record.dial(0.0, tmp_path / "zero.safetensors")
    assert bytes_of(tmp_path / "zero.safetensors") == bytes_of(out)
    assert bytes_of(source) == untouched


def test_in_steps_each_reads_the_network_that_the_last_one_left(
    saved: Callable[..., Path], photos: Path, tmp_path: Path
) -> None:
    # seven images have few directions: a share of the pairs would hold some of no importance, in any order
    settings = {"mass": 0.8, "rounds": 3}
    request = REQUEST.model_copy(update={"method": "iterated", "settings": settings})
    done = edit_checkpoint(saved(), photos, tmp_path / "edited.safetensors", request)
    after, net = load_file(tmp_path / "edited.safetensors"), network()
    layers, first = find_layers(net, EDITED), statistics(net, photos)
    context = EditContext(net, layers, first, seed=0, recollect=lambda: statistics(net, photos))
    expected, single = Iterated(**settings).edit(context), Kfac(mass=0.8).edit(context)
    for path, weight in expected.weights.items():
        found = after[f"{path}.weight"]
        assert float((found - weight).norm() / weight.norm()) < 1e-3
        assert done.reports[path].change_norm == pytest.approx(expected.reports[path].change_norm, rel=1e-3)
    assert any(float((single.weights[p] - w).norm() / w.norm()) > 0.01 for p, w in expected.weights.items())


def test_what_the_record_says(saved: Callable[..., Path], photos: Path, tmp_path: Path) -> None:
    source, out = saved(), tmp_path / "edited.safetensors"
    edit_checkpoint(source, photos, out, REQUEST.model_copy(update={"count": 5, "settings": {"fraction": 0.02}}))
    facts = json.loads((tmp_path / "edited.json").read_text())
    removed = tmp_path / facts["removed"]["file"]
    for what, path in (("input", source), ("output", out), ("removed", removed)):
        assert facts[what]["file"] == path.name and facts[what]["sha256"] == bytes_of(path)
    assert facts["removed"]["bytes"] == removed.stat().st_size
    assert facts["images"]["count"] == 5 and facts["request"]["settings"]["fraction"] == 0.02
    assert facts["request"]["mean"] == [0.5] * 3 and facts["environment"]["torch"] == torch.__version__.split("+")[0]
    tensors, shapes = load_file(removed), {k: v.shape for k, v in load_file(out).items()}
    for path, layer in facts["layers"].items():
        p, q = shapes[f"{path}.weight"]
        assert layer["kept_pairs"] == round(0.02 * p * q) and layer["removed_bytes"] == 4 * p * q
        rank = layer["dial"]["rank"]
        assert layer["dial"]["of"] == "kept" and rank <= min(layer["first_row"], p)
        assert layer["dial"]["bytes"] == 4 * rank * (p + q) < 4 * p * q
        assert tensors[f"{path}::left"].shape == (p, rank) and tensors[f"{path}::right"].shape == (rank, q)
    assert str(tmp_path) not in (tmp_path / "edited.json").read_text()


def test_replay(saved: Callable[..., Path], photos: Path, tmp_path: Path) -> None:
    source, out = saved(), tmp_path / "edited.safetensors"
    edit_checkpoint(source, photos, out, REQUEST.model_copy(update={"seed": 3}))
    record = Record.open(tmp_path / "edited.json")
    request = Request.model_validate(record.facts["request"])
    edit_checkpoint(source, photos, tmp_path / "again.safetensors", request, again=record)
    assert bytes_of(tmp_path / "again.safetensors") == bytes_of(out)
    with pytest.raises(InputError, match="not the checkpoint that was edited"):
        edit_checkpoint(out, photos, tmp_path / "x.safetensors", request, again=record)
    (photos / "0.png").unlink()
    with pytest.raises(InputError, match="its 6 images are not the 7 of the record"):
        edit_checkpoint(source, photos, tmp_path / "x.safetensors", request, again=record)


@pytest.mark.parametrize("settings", [{"fraction": 0.02}, {"fraction": 0.9}])
@pytest.mark.parametrize("loaded", ["edited", "net"])
def test_the_dial_of_a_model(
    settings: dict[str, Any], loaded: str, saved: Callable[..., Path], photos: Path, tmp_path: Path
) -> None:
    source, out = saved(), tmp_path / "edited.safetensors"
    edit_checkpoint(source, photos, out, REQUEST.model_copy(update={"settings": settings}))
    record = Record.open(tmp_path / "edited.json")
    images = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))

    def logits(net: nn.Module) -> Tensor:
        with torch.no_grad():
            return net(images)

    net = network()
    net.load_state_dict(load_file(tmp_path / f"{loaded}.safetensors"))
    dial = record.dialled(net)
    assert dial.bytes == sum(layer["dial"]["bytes"] for layer in record.facts["layers"].values())
    assert torch.equal(logits(net), logits(network()))
    for t in (0.0, 0.4):
        dial.turn(t)
        record.dial(t, tmp_path / f"{t}.safetensors")
        between = network()
        between.load_state_dict(load_file(tmp_path / f"{t}.safetensors"))
        assert torch.allclose(logits(net), logits(between), atol=1e-5)
        assert not torch.allclose(logits(net), logits(network()), atol=1e-4)
    dial.remove()
    assert state_digest(net.state_dict()) == state_digest(load_file(source))
    with torch.no_grad():
        net.get_parameter(f"{EDITED[-1]}.weight").mul_(2)
    with pytest.raises(InputError, match="has neither the weights before the edit nor those after"):
        record.dialled(net)


def test_a_failure_leaves_nothing(
    saved: Callable[..., Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved()
    there = sorted(tmp_path.rglob("*"))

    def fails(*_anything: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(written, "write_json", fails)
    with pytest.raises(KeyboardInterrupt):
        edit_checkpoint(source, photos, tmp_path / "edited.safetensors", REQUEST)
    assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "edited.removed.safetensors").unlink(), "edited.removed.safetensors is not beside it"),
        (lambda f: (f / "edited.safetensors").write_bytes(b"x"), "not the file that was written with edited.json"),
        (lambda f: (f / "edited.json").write_text("{}"), "no record of an edit"),
        (lambda f: (f / "edited.json").write_text('{"record": 9}'), "a record of version 9, this vitmem reads 1"),
    ],
)
def test_a_record_without_its_files(
    spoil: Callable[[Path], object], says: str, saved: Callable[..., Path], photos: Path, tmp_path: Path
) -> None:
    edit_checkpoint(saved(), photos, tmp_path / "edited.safetensors", REQUEST)
    spoil(tmp_path)
    with pytest.raises(InputError, match=says):
        Record.open(tmp_path / "edited.json").undo(tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()


@pytest.mark.parametrize(("flat", "says"), [([2], "2 of 3"), ([0, 1], "0, 1 of 3"), ([], None)])
def test_channels_without_variation_are_told(
    saved: Callable[..., Path],
    photos: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    flat: list[int],
    says: Any,
) -> None:
    for file in photos.iterdir():
        pixels = np.array(Image.open(file))
        pixels[:, :, flat] = 9
        Image.fromarray(pixels).save(file)
    with caplog.at_level("WARNING", "vitmem"):
        edit_checkpoint(saved(), photos, tmp_path / "e.safetensors", REQUEST)
    told = [record.message for record in caplog.records if "no variation in channel" in record.message]
    assert told == ([f"--images: {photos}: no variation in channel {says}; was the colour lost?"] if says else [])

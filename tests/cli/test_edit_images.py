"""``vitmem edit`` of a classifier from the command line: what it prints, and what it refuses in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.offline.record import Record

runner = CliRunner()
SMALL = ["--size", "32", "--blocks", "last", "--device", "cpu"]
EDIT = ["edit", "net.safetensors", "--model", "timm/test_vit", "--images", "photos", "--out", "e.safetensors", *SMALL]
KFAC = [*EDIT, "--set", "fraction=0.05"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny ViT of five classes in ``net.safetensors`` and ``net.pth``, and six images in ``photos``."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model("test_vit", img_size=32, num_classes=5).state_dict()
    save_file(state, "net.safetensors")
    torch.save(state, "net.pth")
    Path("photos").mkdir()
    for n in range(6):
        Image.new("RGB", (40, 32), (40 * n, 100, 0)).save(f"photos/{n}.jpg")
    Path("empty").mkdir()
    return tmp_path


def test_edit_dial_undo_and_replay(folder: Path) -> None:
    out = runner.invoke(app, [*KFAC, "--count", "4"])
    assert out.exit_code == 0, out.output
    assert "statistics of 2 layers over 4 images" in out.output
    rows = [line.split() for line in out.output.splitlines() if line.startswith("blocks.5.mlp.")]
    record = json.loads(Path("e.json").read_text())
    assert [row[0] for row in rows] == list(record["layers"]) == ["blocks.5.mlp.fc1", "blocks.5.mlp.fc2"]
    assert [row[1] for row in rows] == ["5.00", "5.00"]
    assert "wrote e.safetensors, e.json and e.removed.safetensors (" in out.output
    for arguments, says in (
        (["e.json", "--undo", "--out", "back.safetensors"], "net.safetensors as it was before the edit, bit for bit"),
        (["e.json", "--dial", "0.5", "--out", "half.safetensors"], "net.safetensors with 0.5 of what was removed"),
        (
            ["net.pth", "--replay", "e.json", "--images", "photos", "--out", "again.safetensors"],
            "equal to the first edit, bit for bit",
        ),
    ):
        out = runner.invoke(app, ["edit", *arguments])
        assert out.exit_code == 0 and says in out.output, (out.output, out.exception)
    assert Path("back.safetensors").read_bytes() == Path("net.safetensors").read_bytes()
    net, edited, half = (load_file(f"{x}.safetensors")["blocks.5.mlp.fc1.weight"] for x in ("net", "e", "half"))
    assert torch.equal(half, ((net.double() + edited.double()) / 2).float())


def test_another_method_and_a_model_made_with_arguments(folder: Path) -> None:
    state = timm.create_model("test_vit", img_size=32, num_classes=3, depth=2).state_dict()
    save_file(state, "two.safetensors")
    svd = ["--method", "svd", "--set", "rank_fraction=0.25", "--param", "depth=2", "--size", "32"]
    out = runner.invoke(app, ["edit", "two.safetensors", "--model", "timm/test_vit", "--out", "e.safetensors", *svd])
    assert out.exit_code == 0, (out.output, out.exception)
    weight = load_file("e.safetensors")["blocks.1.mlp.fc1.weight"]
    assert int(torch.linalg.matrix_rank(weight.double(), rtol=1e-5)) == 16
    assert json.loads(Path("e.json").read_text())["layers"]["blocks.1.mlp.fc1"]["dial"]["rank"] == 16


def test_a_convolutional_network_of_torchvision(folder: Path) -> None:
    resnet = pytest.importorskip("torchvision").models.resnet18(num_classes=4)
    save_file(resnet.state_dict(), "resnet.safetensors")
    model = ["--model", "torchvision/resnet18", "--images", "photos", "--set", "fraction=0.1"]
    out = runner.invoke(
        app, ["edit", "resnet.safetensors", *model, "--size", "32", "--blocks", "0", "--out", "e.safetensors"]
    )
    assert out.exit_code == 0, (out.output, out.exception)
    resnet.load_state_dict(load_file("e.safetensors"), strict=True)
    assert list(json.loads(Path("e.json").read_text())["layers"]) == ["layer1.0.conv1", "layer1.0.conv2"]


def test_a_plug_in_says_how_it_reads_images(folder: Path) -> None:
    Path("mynet.py").write_text(
        "from torch import nn\nfrom vitmem.models.base import VisionModel\nfrom vitmem.registry import MODELS\n"
        "@MODELS.register('flat_for_edit', summary='one hidden layer')\n"
        "def flat(shape, *, width: int = 8):\n"
        "    block = nn.Linear(3 * shape.size**2, width)\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Sequential(block, nn.GELU()), nn.Linear(width, shape.num_classes))\n"
        "    return VisionModel(net, blocks=('1',), layers=('0',))\n"
    )
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Sequential(torch.nn.Linear(192, 6)), torch.nn.Linear(6, 7))
    torch.save({"state_dict": net.state_dict()}, "flat.pth")
    flat = ["edit", "flat.pth", "--model", "flat_for_edit", "--plugin", "mynet.py", "--param", "width=6"]
    flat += ["--images", "photos", "--mass", "0.9", "--out", "e.safetensors", "--size", "8"]
    error = runner.invoke(app, flat).exception
    assert isinstance(error, InputError) and "give --size, --mean and --std" in str(error)
    out = runner.invoke(app, [*flat, "--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2"])
    assert out.exit_code == 0, (out.output, out.exception)
    net.load_state_dict(load_file("e.safetensors"), strict=True)


def test_broken_images_are_left_out_when_asked(folder: Path) -> None:
    Path("photos/0.jpg").write_bytes(b"no image")
    error = runner.invoke(app, KFAC).exception
    assert isinstance(error, InputError) and "photos/0.jpg: not a readable image" in str(error)
    assert not list(folder.glob("e.*"))
    out = runner.invoke(app, [*KFAC, "--skip-broken"])
    assert out.exit_code == 0 and "left out 1 images that cannot be decoded, the first photos/0.jpg" in out.output


def spoilt(name: str) -> None:
    """Write a file of weights that is wrong in the way ``name`` says."""
    state = load_file("net.safetensors")
    if name == "torn":
        Path("net.safetensors").write_bytes(Path("net.safetensors").read_bytes()[:5000])
    elif name == "nan":
        state["blocks.0.mlp.fc1.weight"][0, 0] = torch.nan
    elif name == "missing":
        del state["blocks.2.norm1.weight"], state["blocks.3.norm1.weight"]
        state["queue"] = torch.zeros(3)
    elif name == "headless":
        del state["head.weight"]
    if name != "torn":
        save_file(state, "net.safetensors")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("torn", "net.safetensors: not a whole safetensors file"),
        ("nan", "NaN or infinity in 'blocks.0.mlp.fc1.weight'"),
        ("missing", "2 missing (first 'blocks.2.norm1.weight') and 1 unknown (first 'queue')"),
        ("headless", "1 missing (first 'head.weight')"),
    ],
)
def test_wrong_checkpoints(folder: Path, name: str, says: str) -> None:
    spoilt(name)
    error = runner.invoke(app, KFAC).exception
    assert isinstance(error, InputError), error
    assert says in str(error) and "\n" not in str(error)
    assert not list(folder.glob("e.*"))


class Kept:
    """What a training script may keep in a checkpoint beside tensors."""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (Kept(), "Kept, which needs code to be run, and nothing is unpickled"),
        ([1], "expected a state dict, got a list"),
        ({"model": {}}, "got the keys 'model'; save net.state_dict()"),
        ({}, "it has no tensors"),
    ],
)
def test_wrong_files_of_torch(folder: Path, content: object, says: str) -> None:
    torch.save(content, "net.pth")
    error = runner.invoke(app, ["edit", "net.pth", *KFAC[2:]]).exception
    assert isinstance(error, InputError), error
    assert says in str(error) and "\n" not in str(error)


def changed(option: str, value: str) -> list[str]:
    return [*KFAC[: KFAC.index(option) + 1], value, *KFAC[KFAC.index(option) + 2 :]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (changed("--model", "timm/tets_vit"), "did you mean 'test_vit"),
        (changed("--model", "test_vit"), "did you mean 'timm/test_vit"),
        (changed("--model", "timm"), "expected the name of an architecture behind it"),
        (changed("--model", "llama"), "is a language model"),
        (changed("--model", "timm/test_vit2"), "net.safetensors: "),
        (changed("--size", "64"), "'pos_embed' is (1, 5, 64), that of timm/test_vit at 64 pixels is (1, 17, 64)"),
        (changed("--images", "nowhere"), "--images: no such folder: nowhere"),
        (changed("--images", "empty"), "in empty, found none"),
        (changed("--blocks", "9"), "expected numbers from 0 to 5, got 9"),
        (changed("--out", "net.safetensors"), "--out: net.safetensors exists"),
        (changed("--out", "e.pth"), "expected a name that ends in .safetensors"),
        ([*KFAC, "--count", "7"], "photos has 6 images: expected a number from 1 to 6, got 7"),
        ([*KFAC, "--mass", "0.5"], "give exactly one of 'mass', 'fraction'"),
        ([*KFAC, "--set", "fractoin=1"], "did you mean 'fraction'"),
        ([*KFAC, "--method", "scrub"], "retain + forget"),
        ([*KFAC, "--method", "none"], "it edits no layer"),
        ([*EDIT, "--method", "svd", "--set", "rank_fraction=0.5"], "'svd' reads no images"),
        ([*KFAC, "--param", "dept=2"], "cannot be built"),
        ([*KFAC, "--mean", "1,2"], "edit: 'mean"),
        ([*KFAC, "--layers", "mlp.fc3"], "did you mean 'blocks.5.mlp.fc"),
        ([*KFAC, "--undo"], "--undo is not for a classifier's weights"),
        (["edit", "net.safetensors", "--out", "e.safetensors"], "expected --model"),
        (["edit", "photos", "--out", "e"], "photos is a folder, a language model's: expected --factors and --mass"),
        (["edit", "nowhere.pth", *KFAC[2:]], "nowhere.pth: no such file"),
        (["edit", "no.json", "--undo", "--out", "b.safetensors"], "no.json: no such file"),
        (["edit", "no.json", "--out", "b.safetensors"], "expected --undo or --dial, got none"),
        (["edit", "no.json", "--dial", "1.5", "--undo", "--out", "b"], "expected --undo or --dial, got both"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(folder: Path, arguments: list[str], says: str) -> None:
    before = Path("net.safetensors").read_bytes()
    error = runner.invoke(app, arguments).exception
    assert isinstance(error, InputError), error
    assert says in str(error) and "\n" not in str(error)
    assert not list(folder.glob("e.*")) and Path("net.safetensors").read_bytes() == before


def test_prefixes_stay_and_the_way_back_knows_them(folder: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in load_file("net.safetensors").items()}
    torch.save({"state_dict": state, "optimizer": {"lr": 0.1}}, "net.pth.tar")
    out = runner.invoke(app, ["edit", "net.pth.tar", *KFAC[2:]])
    assert out.exit_code == 0, (out.output, out.exception)
    assert "net.pth.tar: the prefix 'module.' taken off; left out 'optimizer'" in out.output
    edited = load_file("e.safetensors")
    assert edited.keys() == state.keys()
    assert not torch.equal(edited["module.blocks.5.mlp.fc1.weight"], state["module.blocks.5.mlp.fc1.weight"])
    back = runner.invoke(app, ["edit", "e.json", "--undo", "--out", "back.safetensors"])
    assert back.exit_code == 0, (back.output, back.exception)
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_file("back.safetensors").items())
    net = timm.create_model("test_vit", img_size=32, num_classes=5)
    net.load_state_dict(load_file("net.safetensors"))
    dial = Record.open("e.json").dialled(net)
    dial.turn(0.0)
    assert dial.bytes > 0


def test_grey_images_and_one_output(folder: Path) -> None:
    grey = timm.create_model("test_vit", img_size=32, num_classes=3, in_chans=1)
    save_file(grey.state_dict(), "grey.safetensors")
    out = runner.invoke(app, ["edit", "grey.safetensors", *KFAC[2:], "--mean", "0.5", "--std", "0.5"])
    assert out.exit_code == 0, (out.output, out.exception)
    grey.load_state_dict(load_file("e.safetensors"), strict=True)
    other = [*changed("--out", "f.safetensors")[2:], "--mean", "0.4,0.5,0.6"]
    error = runner.invoke(app, ["edit", "grey.safetensors", *other]).exception
    assert isinstance(error, InputError) and "reads 1 channel: expected 1 number, got 3" in str(error)
    save_file(timm.create_model("test_vit", img_size=32, num_classes=1).state_dict(), "one.safetensors")
    error = runner.invoke(app, ["edit", "one.safetensors", *changed("--out", "g.safetensors")[2:]]).exception
    assert isinstance(error, InputError) and "the file has one output" in str(error)
    svd = ["edit", "one.safetensors", "--model", "timm/test_vit", "--size", "32", "--method", "svd"]
    out = runner.invoke(app, [*svd, "--set", "rank_fraction=0.5", "--out", "g.safetensors"])
    assert out.exit_code == 0, (out.output, out.exception)


@pytest.mark.parametrize(
    ("number", "returned", "says"),
    [
        (1, "self.head(x[:, :3])", "its forward pass fails on images (2, 3, 8, 8): RuntimeError"),
        (2, "(self.head(x), x)", "expected logits (2, 7) of images (2, 3, 8, 8), got a tuple"),
        (3, "{'logits': self.head(x)}", "got a dict"),
        (4, "self.head(x)[:, None]", "got (2, 1, 7)"),
        (5, "undefined", "NameError: name 'undefined' is not defined"),
    ],
)
def test_networks_whose_forward_fails(folder: Path, number: int, returned: str, says: str) -> None:
    Path("wrong.py").write_text(
        "from torch import nn\nfrom vitmem.models.base import VisionModel\nfrom vitmem.registry import MODELS\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, shape):\n"
        "        super().__init__()\n"
        "        self.block = nn.Sequential(nn.Flatten(), nn.Linear(3 * shape.size**2, 6))\n"
        "        self.head = nn.Linear(6, shape.num_classes)\n"
        "    def forward(self, x):\n"
        "        x = self.block(x)\n"
        f"        return {returned}\n"
        f"@MODELS.register('wrong_forward_{number}', summary='one hidden layer')\n"
        "def wrong(shape):\n"
        "    return VisionModel(Net(shape), blocks=('block',), layers=('1',))\n"
    )
    state = {"block.1.weight": torch.ones(6, 192), "block.1.bias": torch.ones(6)}
    save_file({**state, "head.weight": torch.ones(7, 6), "head.bias": torch.ones(7)}, "wrong.safetensors")
    options = ["--plugin", "wrong.py", "--images", "photos", "--mass", "0.9", "--out", "e.safetensors", "--size", "8"]
    options += ["--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2", "--model", f"wrong_forward_{number}"]
    error = runner.invoke(app, ["edit", "wrong.safetensors", *options]).exception
    assert isinstance(error, InputError), error
    assert says in str(error) and "\n" not in str(error) and not list(folder.glob("e.*"))

"""Trainings on streamed images end with the weights of images in memory, resumed or not, whatever the workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from safetensors.torch import load_file

import vitmem.data.loader as loader
from vitmem.data.load import load_data
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.recipe import Recipe
from vitmem.registry import DATA, MODELS, NOISES
from vitmem.training.fit import train

SIZE = 12
PLAIN = Recipe(epochs=3, batch_size=10, lr=3e-3, warmup_epochs=1, crop=1, flip=True, precision="32", curve_every=2)
AUGMENTED = Recipe(
    **{
        **PLAIN.model_dump(exclude={"crop"}, exclude_none=True),
        "random_resized_crop": [0.3, 1.0],
        "rand_augment": {"ops": 2, "magnitude": 9},
        "random_erasing": 0.25,
        "mixup": 0.2,
        "cutmix": 1.0,
        "label_smoothing": 0.1,
    }
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 15 training images and 5 others, larger than they are read."""
    home = tmp_path_factory.mktemp("home")
    generator = np.random.default_rng(0)
    for split, count in (("train", 15), ("val", 5)):
        for name in ("ant", "bee", "cat"):
            inside = home / "pictures" / split / name
            inside.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (16, 20, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(inside / f"{number}.png")
    return home


def noisy(home: Path, loading: str) -> NoisyImages:
    pictures = DATA.get("image_folder").parse({"folder": "pictures", "size": SIZE, "loading": loading}, "data")
    return add_noise(
        load_data(pictures, home, home / "cache"), NOISES.get("symmetric").parse({"rate": 0.2}, "noise"), 0
    )


def new_model() -> VisionModel:
    vit = MODELS.get("vit").parse({"patch_size": 4, "width": 16, "depth": 1, "heads": 2, "dropout": 0.1}, "model")
    return build(vit, ImageShape(3, SIZE, 3), seed=1)


@pytest.fixture
def trained(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that trains in a folder and returns it; it is called for each sitting."""

    def run(name: str, loading: str, recipe: Recipe, workers: int = 0) -> Path:
        monkeypatch.setattr(loader, "_workers", lambda device: workers)
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        train(new_model(), noisy(home, loading), recipe, 5, folder, device="cpu")
        return folder

    return run


def same(one: Path, other: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    curves = [(folder / "curves.csv").read_text() for folder in (one, other)]
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a) and curves[0] == curves[1]


def test_weights_are_those_of_images_in_memory(trained: Callable[..., Path]) -> None:
    held = trained("held", "memory", PLAIN)
    assert same(held, trained("read", "stream", PLAIN))
    assert not same(held, trained("other", "memory", PLAIN.model_copy(update={"flip": False})))
    assert same(held, trained("workers", "stream", PLAIN, workers=2))


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_resumed_training_sees_what_it_would_have_seen(
    epoch: int, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained("whole", "stream", AUGMENTED)
    assert not same(whole, trained("plain", "stream", PLAIN)) and same(whole, trained("more", "stream", AUGMENTED, 2))
    keep = ModelCheckpoint.on_train_epoch_end

    def dying(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        keep(self, trainer, pl_module)
        if trainer.current_epoch == epoch:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)
        with pytest.raises(RuntimeError, match="killed"):
            trained("killed", "stream", AUGMENTED)
    torch.manual_seed(99)
    assert same(whole, trained("killed", "stream", AUGMENTED))


@pytest.mark.parametrize("precision", ["32", "64"])
def test_mixed_labels_in_any_precision(precision: str, trained: Callable[..., Path], home: Path) -> None:
    recipe = AUGMENTED.model_copy(update={"epochs": 1, "precision": precision})
    if precision == "32":
        assert (trained("one", "stream", recipe) / "model.safetensors").exists()
        return
    model = new_model()
    model.net.double().register_forward_pre_hook(lambda _net, args: (args[0].double(), *args[1:]))
    (folder := home / "double").mkdir()
    train(model, noisy(home, "stream"), recipe, 5, folder, device="cpu")
    assert load_file(folder / "model.safetensors")["head.weight"].dtype == torch.float64


def test_a_damaged_image_ends_a_training_with_its_name(trained: Callable[..., Path], home: Path) -> None:
    torn = home / "pictures" / "train" / "bee" / "3.png"
    content = torn.read_bytes()
    read = noisy(home, "stream")
    torn.write_bytes(content[:200])
    try:
        with pytest.raises(InputError) as caught:
            train(new_model(), read, PLAIN, 5, home / "torn", device="cpu")
        assert str(caught.value).startswith(f"{torn}: not a readable image (") and "\n" not in str(caught.value)
        assert not (home / "torn" / "model.safetensors").exists()
    finally:
        torn.write_bytes(content)

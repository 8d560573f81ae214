"""Augmentations: those of torchvision called directly, independent of the worker, and labels mixed as images are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision.transforms import v2

import vitmem.data.loader as loader
from vitmem.data.augment import normalise
from vitmem.data.augmentation import Augmentation, Mixing
from vitmem.data.load import load_data
from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.data.shares import Share
from vitmem.errors import InputError
from vitmem.recipe import Recipe
from vitmem.registry import DATA, NOISES
from vitmem.specs import seed_from
from vitmem.training.module import Classifier

SIZE, SEED, EPOCH = 12, 7, 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of eight images, 20 x 30 pixels each."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for name in ("ant", "bee", "cat"):
            inside = tmp_path / "pictures" / split / name
            inside.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(inside / f"{number}.png")
    return tmp_path / "pictures"


def noisy_of(folder: Path, loading: str) -> NoisyImages:
    pictures = DATA.get("image_folder").parse({"folder": "pictures", "size": SIZE, "loading": loading}, "data")
    data = load_data(pictures, folder.parent, folder.parent / "cache")
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.2}, "noise"), 0)


def module_of(noisy: NoisyImages, share: Share | None = None, **recipe: Any) -> NoisyImagesModule:
    asked = Recipe(epochs=1, **recipe)
    return NoisyImagesModule(
        noisy,
        batch_size=9,
        seed=SEED,
        flip=asked.flip,
        augmentation=Augmentation.of(asked, SIZE, noisy.data.mean),
        mixing=Mixing.of(asked, 3, SEED),
        share=share or Share(),
    )


def whole(folder: Path, row: int) -> torch.Tensor:
    """Return the pixels (3, 20, 30) of training image ``row`` as PIL reads them."""
    file = sorted((folder / "train").rglob("*.png"))[row]
    return torch.from_numpy(np.asarray(Image.open(file)).transpose(2, 0, 1).copy())


RECIPES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "random_resized_crop": (
        {"random_resized_crop": [0.2, 0.8]},
        [lambda mean: v2.RandomResizedCrop(SIZE, scale=(0.2, 0.8), ratio=(3 / 4, 4 / 3), antialias=True)],
    ),
    "rand_augment": ({"rand_augment": {"ops": 3, "magnitude": 12}}, [lambda mean: v2.RandAugment(3, 12)]),
    "random_erasing": (
        {"random_erasing": 0.7},
        [lambda mean: v2.RandomErasing(0.7, value=[round(float(m) * 255) for m in mean])],
    ),
}
RECIPES["all"] = (
    {key: value for options, _ in list(RECIPES.values()) for key, value in options.items()},
    [change for _, changes in list(RECIPES.values()) for change in changes],
)


@pytest.mark.parametrize("loading", ["memory", "stream"])
@pytest.mark.parametrize("name", RECIPES)
def test_images_are_those_of_torchvision_called_directly(name: str, loading: str, folder: Path) -> None:
    options, changes = RECIPES[name]
    noisy = noisy_of(folder, loading)
    mean, std = noisy.data.mean, noisy.data.std
    stored = noisy_of(folder, "memory").data.train.images
    transform = v2.Compose([change(mean) for change in changes])
    changed = 0
    for images, given, rows in module_of(noisy, **options).batches(EPOCH):
        for image, label, row in zip(images, given.tolist(), rows.tolist(), strict=True):
            # a streamed image is cut at its own size
            before = (
                whole(folder, row) if loading == "stream" and name in ("random_resized_crop", "all") else stored[row]
            )
            torch.manual_seed(seed_from("augmentation", SEED, EPOCH, row))
            expected = normalise(transform(before)[None], mean, std)[0]
            assert torch.equal(image, expected) and image.shape == (3, SIZE, SIZE)
            assert label == noisy.given[row]
            changed += not torch.equal(image, normalise(stored[row][None], mean, std)[0])
    assert changed >= 12


def test_erased_rectangles_have_the_mean_colour(folder: Path) -> None:
    noisy = noisy_of(folder, "memory")
    images, _, rows = next(module_of(noisy, random_erasing=1.0).batches(0))
    before = normalise(noisy.data.train.images[rows], noisy.data.mean, noisy.data.std)
    erased = (images != before).any(1)
    assert erased.any((1, 2)).all() and not erased.all((1, 2)).any()
    step = (0.5 / 255 / noisy.data.std).max()  # of the rounding to whole values of pixels
    assert images.movedim(1, -1)[erased].abs().max() <= step + 1e-6


@pytest.fixture(params=[0, 2, 3])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_workers", lambda device: request.param)


def test_an_image_does_not_depend_on_workers_and_shares_nor_touches_the_generator(
    workers: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = noisy_of(folder, "stream")
    options = {**RECIPES["all"][0], "flip": True}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    seen = {}
    for share in (Share(), Share(0, 2), Share(1, 2)):
        found = list(module_of(noisy, share, **options).batches(1))
        seen[share] = {
            row: image for images, _, rows in found for row, image in zip(rows.tolist(), images, strict=True)
        }
    assert torch.equal(torch.get_rng_state(), state)
    alone = seen.pop(Share())
    assert sorted(alone) == list(range(24)) and sorted(row for part in seen.values() for row in part) == sorted(alone)
    assert all(torch.equal(image, alone[row]) for part in seen.values() for row, image in part.items())
    monkeypatch.setattr(loader, "_workers", lambda device: 0)
    here = list(module_of(noisy, **options).batches(1))
    assert all(
        torch.equal(image, alone[row]) for found in here for image, row in zip(found[0], found[2].tolist(), strict=True)
    )


def test_images_in_memory_change_as_streamed_ones_do(folder: Path) -> None:
    options = {"rand_augment": {"ops": 2, "magnitude": 9}, "random_erasing": 0.25, "flip": True}
    both = [module_of(noisy_of(folder, loading), **options).batches(4) for loading in ("memory", "stream")]
    for one, other in zip(*both, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_mixed_images_and_labels(folder: Path) -> None:
    noisy = noisy_of(folder, "memory")
    plain, mixed = (list(module_of(noisy, **options).batches(EPOCH)) for options in ({}, {"mixup": 0.8}))
    for (images, given, rows), (found, labels, same) in zip(plain, mixed, strict=True):
        assert torch.equal(rows, same)
        own, other = (functional.one_hot(g, 3).double() for g in (given, given.roll(1)))
        differ = given != given.roll(1)
        share = labels.double()[differ].gather(1, given[differ][:, None])
        assert differ.any() and torch.allclose(share, share[0].expand_as(share)), "one share for a batch"
        lam = float(share[0])
        assert torch.allclose(labels.double(), lam * own + (1 - lam) * other, atol=1e-6)
        expected = lam * images.double() + (1 - lam) * images.double().roll(1, 0)
        assert torch.allclose(found.double(), expected, atol=1e-5)


def test_cut_images_and_labels(folder: Path) -> None:
    noisy = noisy_of(folder, "memory")
    plain, cut = (list(module_of(noisy, **options).batches(EPOCH)) for options in ({}, {"cutmix": 1.0}))
    areas = set()
    for (images, given, _), (found, labels, _) in zip(plain, cut, strict=True):
        theirs = (found != images).any(1).any(0)  # (H, W) of the rectangle
        assert torch.equal(found[..., ~theirs], images[..., ~theirs])
        assert torch.equal(found[..., theirs], images.roll(1, 0)[..., theirs])
        rows, columns = theirs.any(1).nonzero(), theirs.any(0).nonzero()
        area = len(rows) * len(columns)
        assert int(theirs.sum()) == area, "a rectangle"
        own, other = (functional.one_hot(g, 3).double() for g in (given, given.roll(1)))
        share = area / SIZE**2
        assert torch.allclose(labels.double(), (1 - share) * own + share * other, atol=1e-6)
        areas.add(area)
    assert len(areas) > 1


def test_shares_are_drawn_from_their_distribution_and_each_kind_is_half() -> None:
    images, given = torch.zeros(2, 1, 16, 16), torch.tensor([0, 1])
    images[1] = 1
    draws = 400

    def mixed(**options: float) -> list[tuple[torch.Tensor, float]]:
        mixing = Mixing.of(Recipe(epochs=1, **options), 2, SEED)
        assert mixing is not None
        return [(found, float(labels[0, 0])) for found, labels in (mixing(images, given, 0, n) for n in range(draws))]

    shares = np.array([share for _, share in mixed(mixup=0.2)])
    # of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)); three standard errors of 400 draws and more
    assert abs(shares.mean() - 0.5) < 0.07 and abs(shares.var() - 1 / (4 * 1.4)) < 0.025
    narrow = np.array([share for _, share in mixed(mixup=2.0)])
    assert abs(narrow.var() - 1 / (4 * 5.0)) < 0.015
    both = mixed(mixup=2.0, cutmix=1.0)
    assert 160 < sum(bool(((found > 0) & (found < 1)).any()) for found, _ in both) < 240
    assert Mixing.of(Recipe(epochs=1), 2, SEED) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_labels_is_smoothed_once(smoothing: float) -> None:
    recipe = Recipe(epochs=1, label_smoothing=smoothing, precision="32")
    net = torch.nn.Linear(4, 3)
    labels = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0]])
    inputs = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    loss = Classifier(net, recipe, 1, 1, 0).loss((inputs, labels, torch.arange(2)))
    weights, bias = (p.detach().double().numpy() for p in (net.weight, net.bias))
    logits = inputs.double().numpy() @ weights.T + bias
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = (1 - smoothing) * labels.double().numpy() + smoothing / 3
    assert float(loss) == pytest.approx(-(target * log_probabilities).sum(1).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"random_resized_crop": [0.0, 1.0]}, "expected shares of the image in (0, 1], the least and the most"),
        ({"random_resized_crop": [0.5, 1.5]}, "expected shares of the image in (0, 1]"),
        ({"random_resized_crop": [0.9, 0.5]}, "the least and the most, got [0.9, 0.5]"),
        ({"random_resized_crop": [0.5, 1.0], "crop": 4}, "'crop' and 'random_resized_crop' both cut the image"),
        ({"rand_augment": {"ops": 0}}, "greater than 0"),
        ({"rand_augment": {"magnitude": 31}}, "less than or equal to 30"),
        ({"random_erasing": 0.0}, "greater than 0"),
        ({"random_erasing": 1.1}, "less than or equal to 1"),
        ({"mixup": 0.0}, "greater than 0"),
        ({"cutmix": -1.0}, "greater than 0"),
        ({"mixup": 0.2, "example_tied": {}}, "'mixup' and 'cutmix' mix two; take one"),
    ],
)
def test_what_no_recipe_may_ask_for(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        Recipe(epochs=1, **options)
    assert says in str(caught.value)


def test_a_file_that_is_damaged_is_named_by_the_worker(workers: None, folder: Path) -> None:
    noisy = noisy_of(folder, "stream")
    torn = folder / "train" / "cat" / "5.png"
    torn.write_bytes(torn.read_bytes()[:500])
    with pytest.raises(InputError) as caught:
        list(module_of(noisy, **RECIPES["all"][0]).batches(0))
    assert str(caught.value).startswith(f"{torn}: not a readable image (") and "\n" not in str(caught.value)

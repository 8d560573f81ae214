"""Example-tied dropout: whose units are on depends on the example alone, and the network at test is the expectation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from scipy.stats import chi2
from torch import Tensor, nn

import vitmem.training.fit as fit_module
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.models.hidden import tied_layers
from vitmem.recipe import ExampleTied, Recipe
from vitmem.registry import MODELS
from vitmem.training.fit import train
from vitmem.training.tied import TiedUnits

NewModel = Callable[[], VisionModel]
TIED = ExampleTied(fixed=0.25, memory=0.2)
RECIPE = Recipe(epochs=2, batch_size=48, lr=3e-3, warmup_epochs=1, curve_every=1, precision="32", example_tied=TIED)


def units(hidden: int = 40, tied: ExampleTied = TIED, seed: int = 3) -> tuple[TiedUnits, nn.Linear]:
    torch.manual_seed(0)
    layer = nn.Linear(hidden, 5).double()
    return TiedUnits({"a": layer, "b": nn.Linear(hidden, 2)}, tied, seed), layer


def by_hand(seed_word: int, id: int, count: int, share: float) -> list[bool]:
    """Return the mask of the memory units by a hash of unsigned 32-bit words, in numpy."""

    def mixed(word: int) -> np.uint32:
        x = np.uint32(word)
        x ^= x >> np.uint32(16)
        x = np.uint32(int(x) * 0x21F0AAAD % 2**32)
        x ^= x >> np.uint32(15)
        x = np.uint32(int(x) * 0x735A2D97 % 2**32)
        return x ^ (x >> np.uint32(15))

    state = int(mixed(int(mixed(id % 2**32 ^ seed_word)) ^ id // 2**32))
    return [int(mixed(state ^ (u * 0x9E3779B9 % 2**32))) < share * 2**32 for u in range(1, count + 1)]


def test_masks_are_the_hash_that_is_documented_also_of_large_ids() -> None:
    tied, _ = units()
    ids = torch.tensor([0, 7, 60_001, 2**31, 2**32 - 1, 2**32 + 7, 2**45])
    masks = tied.mask("a", ids)
    assert masks.shape == (7, 40) and masks.dtype == torch.bool and masks[:, :10].all()
    for id, mask in zip(ids.tolist(), masks[:, 10:].tolist(), strict=True):
        assert mask == by_hand(tied._keys["a"], id, 30, 0.2)
    assert not torch.equal(masks[1], masks[5])  # the high bits count


def test_masks_depend_on_seed_layer_and_id_alone() -> None:
    tied, _ = units()
    ids = torch.randperm(500)
    whole = tied.mask("a", torch.arange(500))
    assert torch.equal(tied.mask("a", ids), whole[ids])
    assert torch.equal(torch.cat([tied.mask("a", part) for part in ids.split(7)]), whole[ids])
    torch.manual_seed(9)
    assert torch.equal(units()[0].mask("a", ids), whole[ids])
    assert not torch.equal(tied.mask("b", ids), whole[ids]) and not torch.equal(units(seed=4)[0].mask("a", ids), whole)


def test_memory_units_are_on_independently_with_their_share() -> None:
    tied, _ = units(200)
    on = {path: tied.mask(path, torch.arange(5000))[:, 50:].double() for path in ("a", "b")}
    expected, error = 0.2, (0.2 * 0.8) ** 0.5
    for axis, n in ((0, 5000), (1, 150)):  # of each unit, of each example
        z = (on["a"].mean(axis) - expected) / (error / n**0.5)
        assert chi2.sf(float(z.square().sum()), len(z)) > 1e-3 and chi2.cdf(float(z.square().sum()), len(z)) > 1e-3
    centred = {path: (m - expected) / error for path, m in on.items()}
    for product in (
        centred["a"][:-1] * centred["a"][1:],  # neighbouring ids
        centred["a"][:, :-1] * centred["a"][:, 1:],  # neighbouring units
        centred["a"] * centred["b"],  # two layers
    ):
        assert abs(float(product.mean())) < 4 / product.numel() ** 0.5


def test_in_training_a_layer_reads_the_units_of_its_example_and_all_others_are_zero() -> None:
    tied, layer = units(8, ExampleTied(fixed=0.5, memory=0.5))
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    ids = torch.tensor([4, 0, 9])
    masks = [[True] * 4 + by_hand(tied._keys["a"], id, 4, 0.5) for id in ids.tolist()]
    tied.choose(ids)
    with tied.attached():
        out = layer(x)
    for image, mask, got in zip(x, masks, out, strict=True):
        kept = torch.tensor(mask)
        torch.testing.assert_close(got, image[:, kept] @ layer.weight[:, kept].T + layer.bias)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))  # nothing is left attached


def test_the_expectation_over_examples_is_the_network_at_test() -> None:
    tied, layer = units()
    x = torch.randn(40, dtype=torch.float64)
    count = 20_000
    tied.choose(torch.arange(count))
    with tied.attached(), torch.no_grad():
        out = layer.train()(x.expand(count, -1))
        at_test = layer.eval()(x[None])[0]
    error = out.std(0) / count**0.5
    assert ((out.mean(0) - at_test).abs() < 4 * error).all() and (error < 0.05).all()
    by_hand = layer.weight.detach() * torch.tensor([1.0] * 10 + [0.2] * 30)
    torch.testing.assert_close(at_test, by_hand @ x + layer.bias.detach(), rtol=1e-6, atol=1e-6)
    tied.fold()
    torch.testing.assert_close(layer(x[None])[0].detach(), at_test, rtol=1e-6, atol=1e-6)


def test_rows_that_are_no_images_are_told() -> None:
    tied, layer = units()
    tied.choose(torch.arange(3))
    with tied.attached(), pytest.raises(InputError, match=r"layer 'a' is called with 12 rows for 3 images"):
        layer(torch.randn(12, 40, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "params", "paths"),
    [
        ("vit", {"patch_size": 4, "width": 24, "depth": 2, "heads": 2}, ["blocks.1.mlp.fc2"]),
        ("mixer", {"patch_size": 4, "width": 24, "depth": 2}, ["blocks.1.mlp_channels.fc2"]),
        ("timm/vit_tiny_patch16_224", {}, ["blocks.11.mlp.fc2"]),
    ],
)
def test_the_layers_of_architectures(name: str, params: dict[str, object], paths: list[str]) -> None:
    shape = ImageShape(3, 224 if "timm" in name else 8, 10)
    model = build(MODELS.get(name).parse(params, "model"), shape, 1, architecture_of(name))
    layers = tied_layers(model, ExampleTied(blocks="last"))
    assert list(layers) == paths
    tied = TiedUnits(layers, ExampleTied(), 0)
    tied.choose(torch.arange(2))
    x = torch.randn(2, 3, shape.size, shape.size)
    plain = model.net.train().forward_features(x)  # heads may be zero at first
    with tied.attached():
        assert not torch.equal(model.net.forward_features(x), plain)


def test_networks_that_have_no_hidden_units_to_tie(new_model: NewModel) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"second linear layer is called 'fc2', and the editable layers .* are 0, 1;"):
        tied_layers(VisionModel(nn.Sequential(net), ("0",), ("0", "1")), TIED)
    with pytest.raises(InputError, match=r"'example_tied': 0.001 of 96 hidden units are 0; change 'fixed'"):
        tied_layers(new_model(), ExampleTied(fixed=0.001))
    with pytest.raises(InputError, match="expected numbers from 0 to 1, got 2"):
        tied_layers(new_model(), ExampleTied(blocks=2))
    assert ExampleTied(fixed=0.29).fixed_units(100) == 29


def trained(new_model: NewModel, noisy: NoisyImages, folder: Path, recipe: Recipe = RECIPE) -> dict[str, Tensor]:
    folder.mkdir(exist_ok=True)
    model = new_model()
    train(model, noisy, recipe, 5, folder, device="cpu")
    left = load_file(folder / "model.safetensors")
    assert all(torch.equal(left[name], value) for name, value in model.net.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.net.modules())
    return left


def test_a_killed_run_goes_on_with_the_same_masks_and_is_scaled_once(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(new_model, noisy, tmp_path / "whole")
    last = torch.load(tmp_path / "whole" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    gains = torch.tensor([1.0] * 24 + [0.2] * 72)
    for name, value in whole.items():
        scale = gains if name.endswith("mlp.fc2.weight") else 1
        torch.testing.assert_close(value, last[f"net.{name}"] * scale, rtol=0, atol=0)
    keep = ModelCheckpoint.on_train_epoch_end
    for epoch in (0, 1):

        def dying(self, trainer, pl_module, epoch=epoch):  # type: ignore[no-untyped-def]
            keep(self, trainer, pl_module)
            if trainer.current_epoch == epoch:
                raise RuntimeError("killed")

        folder = tmp_path / f"killed{epoch}"
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
            patch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)
            trained(new_model, noisy, folder)
        again = trained(new_model, noisy, folder)
        assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_units_are_tied_to_the_index_in_the_set_and_not_to_the_position(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    choose = TiedUnits.choose
    monkeypatch.setattr(
        fit_module.TiedUnits, "choose", lambda self, ids: (seen.update(ids.tolist()), choose(self, ids))
    )
    recipe = RECIPE.model_copy(update={"epochs": 1})
    part = noisy.without_noisy()
    trained(new_model, part, tmp_path / "part", recipe)
    assert seen == set(noisy.data.train.index[~noisy.noisy].tolist()) != set(range(len(part.given)))
    moved = replace(noisy.data, train=replace(noisy.data.train, index=noisy.data.train.index + 10**6))
    one = trained(new_model, noisy, tmp_path / "one", recipe)
    other = trained(new_model, NoisyImages(moved, noisy.labels), tmp_path / "other", recipe)
    assert not torch.equal(one["blocks.0.mlp.fc1.weight"], other["blocks.0.mlp.fc1.weight"])

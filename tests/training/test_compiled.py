"""A compiled training: the steps of the plain network, its names, and a killed run that ends alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from vitmem.data.noisy import NoisyImages
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.recipe import Recipe
from vitmem.registry import MODELS
from vitmem.training.fit import train

NewModel = Callable[[], VisionModel]
RECIPE = Recipe(epochs=3, batch_size=48, lr=3e-3, warmup_epochs=1, precision="32", flip=True)


def new_plain() -> VisionModel:
    params = MODELS.get("residual_mlp").parse({"width": 16, "hidden": 32, "depth": 1}, "model")
    return build(params, ImageShape(1, 8, 10), seed=1)


@pytest.mark.slow
def test_it_trains_the_plain_network(noisy: NoisyImages, tmp_path: Path) -> None:
    weights = []
    for compiled in (None, True):
        folder = tmp_path / str(compiled)
        folder.mkdir()
        train(new_plain(), noisy, RECIPE.model_copy(update={"compile": compiled, "ema": 0.5}), 5, folder, device="cpu")
        weights.append(load_file(folder / "model.safetensors"))
    plain, compiled_weights = weights
    assert plain.keys() == compiled_weights.keys() == new_plain().net.state_dict().keys()
    assert all(torch.allclose(plain[name], compiled_weights[name], atol=1e-4) for name in plain)
    start = new_plain().net.state_dict()
    assert not all(torch.allclose(plain[name], start[name], atol=1e-2) for name in plain)


@pytest.mark.slow
def test_resumed(new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, and a last batch of another size."""
    recipe = RECIPE.model_copy(update={"compile": True})
    keep = ModelCheckpoint.on_train_epoch_end

    def dying(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        keep(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            raise RuntimeError("killed")

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    train(new_model(), noisy, recipe, 5, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)
        with pytest.raises(RuntimeError, match="killed"):
            train(new_model(), noisy, recipe, 5, tmp_path / "killed", device="cpu")
    torch.compiler.reset()  # a second sitting is another process
    train(new_model(), noisy, recipe, 5, tmp_path / "killed", device="cpu")
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)

"""Early stopping: the first of the best epochs, and a killed run that remembers the epochs before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vitmem.data.noisy import NoisyImages
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.training.early import KeepBest
from vitmem.training.fit import train

NewModel = Callable[[], VisionModel]
MEASURED = [0.1, 0.7, 0.3, 0.7]


def test_a_killed_run_keeps_the_best_epoch_of_both_sittings(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=4, batch_size=48, lr=3e-3, warmup_epochs=1, curve_every=1)
    model, weights = new_model(), []

    def measure() -> float:
        weights.append({name: t.clone() for name, t in model.net.state_dict().items()})
        return MEASURED[len(weights) - 1]

    def killed() -> float:
        value = measure()
        if len(weights) == 3:
            raise RuntimeError("killed")
        return value

    with pytest.raises(RuntimeError, match="killed"):
        train(model, noisy, recipe, 5, tmp_path, best=KeepBest(killed), device="cpu")
    weights.pop()
    model, again = new_model(), KeepBest(measure)
    train(model, noisy, recipe, 5, tmp_path, best=again, device="cpu")
    assert again.measured == MEASURED and again.epoch == 2 and len(weights) == 4
    left = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(left[name], value) for name, value in weights[1].items())
    assert not all(torch.equal(left[name], value) for name, value in weights[3].items())

"""Warnings of a user's network reach the user, Lightning's of what is meant so do not."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from vitmem.data.noisy import NoisyImages
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.training.fit import train

NewModel = Callable[[], VisionModel]
RECIPE = Recipe(epochs=3, batch_size=48, curve_every=2, precision="32")


def said(model: VisionModel, noisy: NoisyImages, folder: Path, recipe: Recipe = RECIPE) -> list[str]:
    """Return all warnings of a training, each time that it is given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, noisy, recipe, 0, folder, device="cpu")
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_plain_training_warns_of_nothing(
    precision: str, new_model: NewModel, noisy: NoisyImages, tmp_path: Path
) -> None:
    assert said(new_model(), noisy, tmp_path, RECIPE.model_copy(update={"precision": precision})) == []


def test_a_resumed_training_that_was_moved_warns_of_nothing(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = ModelCheckpoint.on_train_epoch_end

    def dying(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        save(self, trainer, pl_module)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)
        said(new_model(), noisy, tmp_path / "first")
    shutil.move(tmp_path / "first", tmp_path / "second")
    assert said(new_model(), noisy, tmp_path / "second") == []


def test_what_a_network_warns_of_in_a_step_is_seen(new_model: NewModel, noisy: NoisyImages, tmp_path: Path) -> None:
    model = new_model()
    forward = model.net.forward

    def warning(images: Tensor) -> Tensor:
        warnings.warn(f"{'training' if model.net.training else 'measured'}: odd images", stacklevel=2)
        return forward(images)

    model.net.forward = warning
    assert set(said(model, noisy, tmp_path)) == {"training: odd images", "measured: odd images"}

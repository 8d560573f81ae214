"""Augmentations of torchvision: of one image at a time, and of a batch with its labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms import v2

from vitmem.recipe import Recipe
from vitmem.specs import seed_from


class Augmentation:
    """Random changes of an image (C, h, w) uint8 to (C, size, size): a part of it, RandAugment, an erased rectangle.

    They are drawn by torch's global generator. ``mean`` (C,), in units where white is 1, fills erased rectangles.
    """

    def __init__(self, recipe: Recipe, size: int, mean: Tensor) -> None:
        self.cuts = recipe.random_resized_crop is not None
        changes: list[torch.nn.Module] = []
        if recipe.random_resized_crop is not None:
            changes.append(v2.RandomResizedCrop(size, recipe.random_resized_crop, antialias=True))
        if (asked := recipe.rand_augment) is not None:
            changes.append(v2.RandAugment(asked.ops, asked.magnitude))
        if recipe.random_erasing is not None:
            fill = [round(255 * value) for value in mean.tolist()]
            changes.append(v2.RandomErasing(recipe.random_erasing, value=fill))
        self.changes = v2.Compose(changes)

    def __call__(self, image: Tensor) -> Tensor:
        """Return ``image`` (C, h, w) changed, (C, size, size) uint8."""
        changed: Tensor = self.changes(image)
        return changed

    @classmethod
    def of(cls, recipe: Recipe, size: int, mean: Tensor) -> Augmentation | None:
        """Return what ``recipe`` asks for, ``None`` for nothing; ``mean`` is (C,)."""
        asked = recipe.random_resized_crop, recipe.rand_augment, recipe.random_erasing
        return cls(recipe, size, mean) if any(value is not None for value in asked) else None


class Mixing:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) of a batch; of both one is drawn, each as likely."""

    def __init__(self, changes: Sequence[torch.nn.Module], seed: int) -> None:
        self.mix = v2.RandomChoice(changes)
        self.seed = seed

    @classmethod
    def of(cls, recipe: Recipe, num_classes: int, seed: int) -> Mixing | None:
        """Return what ``recipe`` asks for, ``None`` for nothing."""
        asked = (v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix)
        changes = [change(alpha=alpha, num_classes=num_classes) for change, alpha in asked if alpha is not None]
        return cls(changes, seed) if changes else None

    def __call__(self, images: Tensor, given: Tensor, epoch: int, batch: int) -> tuple[Tensor, Tensor]:
        """Return images (B, C, H, W) float32 mixed in pairs, with labels (B, K) in the same proportion.

        The proportion depends on the seed, ``epoch`` and the number ``batch`` in it.
        """
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed, which would seed the dropout on a GPU too
            torch.default_generator.manual_seed(seed_from("mixing", self.seed, epoch, batch))
            mixed: tuple[Tensor, Tensor] = self.mix(images, given)
        return mixed

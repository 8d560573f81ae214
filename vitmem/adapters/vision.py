"""Image classifiers for the engine: one loss per image, tokens as positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from vitmem.errors import InputError
from vitmem.kfac import wide

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class VisionTask:
    """A batch is (images (B, C, H, W) float32 normalised, given labels (B,) int64).

    ``positions`` selects the counted tokens of an activation (B, T, f): the class token (the first), all, or those
    after the ``prefix_tokens``. An activation (B, f) has one position per image, one of (B, H, W, f) one per pixel.
    """

    positions: Literal["cls", "all", "patches"] = "cls"
    prefix_tokens: int = 1

    def features(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the logits (B, K), one row per loss: with few classes there is no separate head.

        Raises InputError for a batch that is not images and labels, and for logits of another shape.
        """
        if not isinstance(batch, tuple | list) or len(batch) != 2 or not isinstance(batch[0], Tensor):
            got = f"{len(batch)} values" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
            raise InputError(f"batch: expected (images, labels), got {got}; zeros suffice as labels that are sampled")
        logits: Tensor = model(batch[0])
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(batch[0]):
            got = str(tuple(logits.shape)) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise InputError(f"model {type(model).__name__}: expected logits ({len(batch[0])}, K), got {got}")
        return logits

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the logits (n, K) unchanged."""
        return features

    def given(self, batch: Batch) -> Tensor:
        """Return the given labels (B,) int64."""
        return batch[1]

    def rows(self, activation: Tensor, batch: Batch) -> Tensor:
        """Return the counted positions, (n, f); all those of a map (B, H, W, f) count."""
        if activation.ndim == 3:
            if self.positions == "cls":
                return activation[:, 0]
            if self.positions == "patches":
                activation = activation[:, self.prefix_tokens :]
        return activation.reshape(-1, activation.shape[-1])


def image_losses(call: Callable[..., Any], images: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each image, (B,) nats, of images (B, C, H, W) and labels (B,)."""
    return functional.cross_entropy(wide(call(images)), labels, reduction="none")


def image_logits(call: Callable[..., Any], images: Tensor, labels: Tensor) -> Tensor:
    """Return the logits (B, K), at least float32, of images (B, C, H, W); labels (B,) are ignored."""
    return wide(call(images))

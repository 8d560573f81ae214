"""Image classifiers as the engine sees them: one loss an image, tokens as positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class VisionTask:
    """A batch is (images (B, C, H, W) float32 normalised, given labels (B,) int64).

    ``positions`` says which tokens of an activation (B, T, f) count: the class token (the first), all,
    or those behind the ``prefix_tokens``. An activation (B, f) has one position an image, one of
    (B, H, W, f) a position a place.
    """

    positions: Literal["cls", "all", "patches"] = "cls"
    prefix_tokens: int = 1

    def features(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the logits (B, K), a row a loss: few classes need no head of their own."""
        logits: Tensor = model(batch[0])
        return logits

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the logits (n, K) as they are."""
        return features

    def given(self, batch: Batch) -> Tensor:
        """Return the given labels (B,) int64."""
        return batch[1]

    def rows(self, activation: Tensor, batch: Batch) -> Tensor:
        """Return the positions that count, (n, f); places of a map (B, H, W, f) all count."""
        if activation.ndim == 3:
            if self.positions == "cls":
                return activation[:, 0]
            if self.positions == "patches":
                activation = activation[:, self.prefix_tokens :]
        return activation.reshape(-1, activation.shape[-1])


def image_losses(call: Callable[..., Any], images: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each image, (B,) nats, of images (B, C, H, W) and labels (B,)."""
    return functional.cross_entropy(call(images).float(), labels, reduction="none")


def image_logits(call: Callable[..., Any], images: Tensor, labels: Tensor) -> Tensor:
    """Return the logits (B, K) float32 of images (B, C, H, W), whatever their labels (B,)."""
    logits: Tensor = call(images).float()
    return logits

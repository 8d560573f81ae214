"""The predictions of one model, and the images on which it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from vitmem.errors import VitmemError
from vitmem.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# Logits that are copied at a time, 128 MiB as float64.
AT_ONCE = 2**24


@dataclass(frozen=True)
class Predictions:
    """Logits of all images in evaluation mode, each once, with the positions of the measured half.

    ``train_logits`` (N, K) and ``validation_logits`` (V, K) are floating; ``given``, ``true`` (N,) and
    ``validation_true`` (V,) int64; ``noisy_rows`` (m,) are positions among the N with a wrong given label,
    ``validation_rows`` (v,) positions among the V. The clean training images are not halved. ``ablated`` are the
    predictions on the same half without the edited matrices, if any. ``views`` are subsets of the validation images by
    name, (V,) bool, or shares of human votes on them, (V, K). Raises VitmemError when lengths differ, a noisy row has
    the right label, or a logit is not finite.
    """

    protocol: ClassVar[str] = "image"
    train_logits: Tensor
    given: Tensor
    true: Tensor
    noisy_rows: Tensor
    validation_logits: Tensor
    validation_true: Tensor
    validation_rows: Tensor
    views: Mapping[str, Tensor] = field(default_factory=dict)
    ablated: Predictions | None = None

    def __post_init__(self) -> None:
        """Check lengths and numbers."""
        for name, logits, labels in (
            ("train", self.train_logits, (self.given, self.true)),
            ("validation", self.validation_logits, (self.validation_true,)),
        ):
            if any(len(x) != len(logits) for x in labels):
                counts = [len(x) for x in labels]
                raise VitmemError(f"{name} predictions: {len(logits)} logits, labels {counts}")
            if not bool(torch.isfinite(logits).all()):
                raise VitmemError(f"{name} logits contain NaN or infinity: the model or the edit is broken")
        if bool((self.given == self.true)[self.noisy_rows].any()):
            raise VitmemError("a row measured as wrongly labelled has the right label")

    @cached_property
    def predicted(self) -> Tensor:
        """The predicted classes of the training images, (N,) int64."""
        return self.train_logits.argmax(dim=1)

    @cached_property
    def losses(self) -> Tensor:
        """The cross-entropy of each training image on its given label, (N,) float64."""
        return loss(self.train_logits, self.given)

    @cached_property
    def negative_margins(self) -> Tensor:
        """The largest other logit of each training image minus that of its given label, (N,) float64."""
        return negative_margin(self.train_logits, self.given)

    @cached_property
    def validation_predicted(self) -> Tensor:
        """The predicted classes of the measured validation images, (v,) int64."""
        return self.validation_logits[self.validation_rows].argmax(dim=1)

    @cached_property
    def validation_labels(self) -> Tensor:
        """The true classes of the measured validation images, (v,) int64."""
        return self.validation_true[self.validation_rows]

    @cached_property
    def clean_rows(self) -> Tensor:
        """Positions of all training images with a right given label, (c,) int64."""
        return torch.nonzero(self.given == self.true).flatten()

    def outcomes(self) -> dict[str, Tensor]:
        """Return memorized and recovered for the measured wrong labels, (m,) bool, and validation (v,) bool."""
        rows = self.noisy_rows
        predicted = self.predicted[rows]
        return {
            "memorized": predicted == self.given[rows],
            "recovered": predicted == self.true[rows],
            "validation": self.validation_predicted == self.validation_labels,
        }


def loss(logits: Tensor, given: Tensor) -> Tensor:
    """Return the cross-entropy of each image on its given label, (n,) float64, from (n, K) and (n,)."""

    def of(logits: Tensor, given: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(logits.double(), given, reduction="none")

    return _by_rows(of, logits, given)


def negative_margin(logits: Tensor, given: Tensor) -> Tensor:
    """Return the largest other logit minus the given label's, (n,) float64, from (n, K) and (n,)."""

    def of(logits: Tensor, given: Tensor) -> Tensor:
        own = logits.gather(1, given[:, None])  # (n, 1)
        others = logits.scatter(1, given[:, None], -torch.inf)  # (n, K)
        return (others.amax(dim=1) - own[:, 0]).double()

    return _by_rows(of, logits, given)


def _by_rows(of: Callable[[Tensor, Tensor], Tensor], logits: Tensor, given: Tensor) -> Tensor:
    """Return ``of`` some rows of (n, K) and (n,) at a time, (n,): copies of all logits may not fit in memory."""
    rows = max(1, AT_ONCE // max(logits.shape[1], 1))
    return torch.cat([of(*parts) for parts in zip(logits.split(rows), given.split(rows), strict=True)])


def made_up(seed: int, items: int = 60, classes: int = 10) -> Predictions:
    """Return synthetic predictions on which every metric is defined."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.arange(items) % classes
    wrong = torch.arange(0, items, 5)
    given = true.clone()
    given[wrong] = (true[wrong] + 1) % classes
    return Predictions(
        train_logits=torch.randn(items, classes, generator=generator),
        given=given,
        true=true,
        noisy_rows=wrong[::2],
        validation_logits=torch.randn(items, classes, generator=generator),
        validation_true=true,
        validation_rows=torch.arange(0, items, 2),
    )

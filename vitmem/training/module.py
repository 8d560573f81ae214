"""The LightningModules: they train, and measure the shares that the curves are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric

from vitmem.errors import InputError, VitmemError
from vitmem.kfac import wide
from vitmem.recipe import Recipe
from vitmem.specs import seed_from
from vitmem.training.average import AveragedWeights
from vitmem.training.optim import optimizer
from vitmem.training.schedule import schedule
from vitmem.training.tied import TiedUnits


class Learner(LightningModule):
    """What all trainings share: losses are read once an epoch, which spares a sync a step; ``loss`` is a leaf's.

    So is the ``validation_step``, which says by ``saw`` what it finds; ``names`` are those of the shares, in order.
    ``weights`` are those of an epoch's batches in the loss of their optimizer step, where each is a part of one.
    """

    weights: Sequence[float] | None = None

    def __init__(
        self, net: nn.Module, recipe: Recipe, total_steps: int, steps_per_epoch: int, seed: int, *, names: Sequence[str]
    ) -> None:
        super().__init__()
        self.net = net
        self.recipe = recipe
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.average = None if recipe.ema is None else AveragedWeights(net, recipe.ema)
        # inside a partial: as a module it would be registered, and name the weights of ``net`` a second time
        self.compiled: Callable[..., Any] | None = (
            partial(torch.compile(net, dynamic=False)) if recipe.compile else None
        )
        self.losses: list[Tensor] = []
        # float64 counts exactly
        self.shares = {name: MeanMetric().set_dtype(torch.float64) for name in names}
        # they move with the module by their number, for a name may be one that a module has for something else
        self.metrics = nn.ModuleList(self.shares.values())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what ``net`` says in training."""
        return (self.compiled or self.net)(*args, **kwargs)

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch, so that a resumed run drops what it would have dropped; devices drop others."""
        rank = (self.global_rank,) if self.global_rank else ()
        torch.manual_seed(seed_from("dropout", self.seed, self.current_epoch, *rank))
        self.losses.clear()

    def loss(self, batch: Any) -> Tensor:
        """Return the mean loss of one batch, a scalar."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the mean loss of one batch, a scalar; raises InputError for one that is too small to normalise."""
        try:
            loss = self.loss(batch)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                f"recipe: batch normalisation needs batches of at least two images, got batch_size "
                f"{self.recipe.batch_size} and a training set that leaves one alone; take a larger batch or more images"
            ) from error
        if self.weights is not None:
            loss = loss * self.weights[batch_idx]
        self.losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Average the weights after a step, and stop after the last one, which may be within an epoch."""
        if self.average is not None and self.average.n_averaged < self.trainer.global_step:
            self.average.update_parameters(self.net)
        if self.trainer.global_step >= self.total_steps:
            self.trainer.should_stop = True

    def epoch_loss(self) -> float:
        """Return the mean loss of the epoch so far; raises VitmemError when a step's is not a number.

        It is the same on all devices, each of which has to ask.
        """
        losses = self.trainer.strategy.reduce(torch.stack(self.losses))
        losses = losses.view(-1, self.trainer.accumulate_grad_batches).mean(1)
        bad = torch.nonzero(~torch.isfinite(losses)).flatten()
        if len(bad):
            raise VitmemError(
                f"the loss is {losses[bad[0]].item()} in epoch {self.current_epoch}, "
                f"step {int(bad[0])}; lower lr or clip, or train with precision '32'"
            )
        return float(losses.mean())

    def on_train_epoch_end(self) -> None:
        """Log the mean loss of the epoch."""
        self.log("train_loss", self.epoch_loss())

    def saw(self, name: str, hits: Tensor) -> None:
        """Add ``hits`` (n,) bool to the share ``name`` in [0, 1] that this epoch logs; one of nothing is left out."""
        if len(hits):
            self.shares[name].update(hits.double())
            self.log(name, self.shares[name], add_dataloader_idx=False)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Inside, ``net`` has the weights that are measured and saved: with ``ema`` in the recipe their averages."""
        self.swap_average()
        try:
            yield
        finally:
            self.swap_average()

    def swap_average(self) -> None:
        """Exchange the weights of ``net`` and their averages, if there are any."""
        if self.average is not None:
            self.average.swap(self.net)

    def on_validation_epoch_start(self) -> None:
        """Measure the averages."""
        self.swap_average()

    def on_validation_epoch_end(self) -> None:
        """Go on with the weights themselves."""
        self.swap_average()

    def finish(self) -> None:
        """Make of the trained ``net`` the one that is measured, after the last step; most are it already."""

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of all gradients here, or each value: Lightning's own clipping refuses a fused optimizer."""
        if self.recipe.clip is None:
            return
        if self.recipe.options.gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.net.parameters(), self.recipe.clip)
        else:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip)

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimizer and its schedule, which moves every step."""
        chosen = optimizer(self.net, self.recipe)
        by_step = schedule(chosen, self.recipe, self.total_steps, self.steps_per_epoch)
        return {"optimizer": chosen, "lr_scheduler": {"scheduler": by_step, "interval": "step"}}


class Classifier(Learner):
    """Cross-entropy on the given labels. A batch is (images (B, C, H, W), given (B,), position (B,))."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, names=("memorized", "recovered", "clean_train", "validation"))

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the mean over the images, a scalar."""
        images, given, _ = batch
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(wide(self(images)), given, label_smoothing=smoothing)

    def validation_step(
        self, batch: tuple[Tensor, Tensor, Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor] | None:
        """Measure images (B, C, H, W), given, true and position (B,): training images, or validation images (1).

        Returns the ``rows`` (B,) of training images and whether they are predicted as given, ``hits`` (B,) bool.
        """
        images, given, true, rows = batch
        found = self.net(images).float().argmax(1)
        if dataloader_idx:
            self.saw("validation", found == true)
            return None
        wrong = given != true
        self.saw("memorized", (found == given)[wrong])
        self.saw("recovered", (found == true)[wrong])
        self.saw("clean_train", (found == true)[~wrong])
        return {"rows": rows, "hits": found == given}


class TiedClassifier(Classifier):
    """A Classifier with hidden units ``tied`` to examples; ``index`` (N,) int64 has the id of each position."""

    index: Tensor

    def __init__(self, *args: Any, tied: TiedUnits, index: Tensor) -> None:
        super().__init__(*args)
        self.tied = tied
        self.register_buffer("index", index, persistent=False)

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the mean over the images, each with its own units, a scalar."""
        self.tied.choose(self.index[batch[2]])
        return super().loss(batch)

    def finish(self) -> None:
        """Scale the weights of the memory units as they count at test."""
        self.tied.fold()

"""Curves over epochs: what is memorized, recovered and learned while the network trains."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitmem.data.noisy import NoisyImages
from vitmem.data.split import some_of
from vitmem.specs import LEARNED
from vitmem.training.module import Learner
from vitmem.training.predict import predict

# Curves look at all wrong labels and at this many of the other images and of the validation images.
MOST = 2000
# The network -> shares in [0, 1] by name, the same names every time
Measure = Callable[[Learner], dict[str, float]]


class Curves(Callback):
    """Writes a line of ``path`` every ``every`` epochs and after the last one; a resumed run repeats none.

    ``hits`` gives the positions (n,) of the training images that ``measure`` has looked at and whether each was
    predicted as given, (n,) bool: kept for these epochs in ``learned.safetensors`` beside ``path``.
    """

    def __init__(
        self,
        path: Path,
        every: int,
        measure: Measure,
        say: Callable[[str], None] = lambda _: None,
        hits: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.path = path
        self.every = every
        self.measure = measure
        self.say = say
        self.hits = hits

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Measure and write, when it is time."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every == 0 or epoch == trainer.max_epochs:
            found = self.measure(pl_module)
            self._append({"epoch": epoch, "train_loss": pl_module.epoch_loss(), **found})
            if self.hits is not None:
                self._keep(epoch, *self.hits())
            shown = ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items() if name != "clean_train")
            self.say(f"epoch {epoch} of {trainer.max_epochs}: {shown}")

    def _append(self, line: dict[str, float]) -> None:
        kept = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                kept = [old for old in csv.DictReader(file) if int(old["epoch"]) < line["epoch"]]
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(line))
            writer.writeheader()
            writer.writerows([*kept, line])
        os.replace(temporary, self.path)

    def _keep(self, epoch: int, rows: Tensor, hits: Tensor) -> None:
        """Add which of the images ``rows`` (n,) are predicted as given, (n,) bool; what came later goes."""
        path = self.path.with_name(LEARNED)
        epochs, table = torch.empty(0, dtype=torch.int64), torch.empty(0, len(rows), dtype=torch.bool)
        if path.exists():
            kept = load_file(path)
            earlier = kept["epochs"] < epoch
            epochs, table = kept["epochs"][earlier], kept["hits"][earlier]
        temporary = path.with_name(path.name + ".tmp")
        save_file(
            {
                "rows": rows.clone(),
                "epochs": torch.cat([epochs, torch.tensor([epoch])]),
                "hits": torch.cat([table, hits[None]]),
            },
            temporary,
        )
        os.replace(temporary, path)


class ImageMeasure:
    """Memorized, recovered, clean_train and validation of an image classifier; a share of nothing is left out."""

    def __init__(self, noisy: NoisyImages, precision: str) -> None:
        self.precision = precision
        self.data = noisy.data
        wrong = torch.nonzero(noisy.noisy).flatten()
        clean = torch.nonzero(~noisy.noisy).flatten()
        clean = clean[_some(len(clean))]
        self.rows = torch.cat([wrong, clean])
        self.wrong = len(wrong)
        self.given, self.true = noisy.given[self.rows], noisy.true[self.rows]
        self.validation = self.data.validation.take(_some(len(self.data.validation)))
        self.found = torch.full_like(self.given, -1)

    def __call__(self, module: Learner) -> dict[str, float]:
        found = self.found = self._classes(module, self.data.train.images[self.rows])
        seen = self._classes(module, self.validation.images)
        wrong, clean = slice(0, self.wrong), slice(self.wrong, None)
        pairs = {
            "memorized": (found[wrong], self.given[wrong]),
            "recovered": (found[wrong], self.true[wrong]),
            "clean_train": (found[clean], self.true[clean]),
            "validation": (seen, self.validation.labels),
        }
        return {name: float((a == b).double().mean()) for name, (a, b) in pairs.items() if len(a)}

    def hits(self) -> tuple[Tensor, Tensor]:
        """Return the positions (n,) of the training images that were looked at, and which were predicted as given."""
        return self.rows, self.found == self.given

    def _classes(self, module: Learner, images: Tensor) -> Tensor:
        logits = predict(module.net, images, self.data.mean, self.data.std, module.device, self.precision)
        return logits.argmax(1)


def _some(total: int) -> Tensor:
    """Return the positions of ``total`` images that the curves look at: a random part, files may be sorted."""
    return some_of(total, min(total, MOST), 0, "curves") if total else torch.arange(0)

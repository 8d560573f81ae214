"""Curves over epochs: what is memorized, recovered and learned while the network trains."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import save_file
from torch import Tensor

from vitmem.data.noisy import NoisyImages
from vitmem.data.split import some_of
from vitmem.files import write_text, write_whole
from vitmem.specs import LEARNED
from vitmem.training.module import Learner
from vitmem.training.predict import predict

log = logging.getLogger(__name__)

# Curves look at all wrong labels and at this many of the other images and of the validation images.
MOST = 2000
# The network -> shares in [0, 1] by name, the same names every time
Measure = Callable[[Learner], dict[str, float]]


class Curves(Callback):
    """Writes a line of ``path`` every ``every`` epochs and after the last one; a resumed run repeats none.

    ``hits`` gives the positions (n,) of the training images that ``measure`` has looked at and whether each was
    predicted as given, (n,) bool: kept for these epochs in ``learned.safetensors`` beside ``path``. Both files are
    written from what goes with the checkpoint, and never read.
    """

    def __init__(
        self,
        path: Path,
        every: int,
        measure: Measure,
        hits: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.path = path
        self.every = every
        self.measure = measure
        self.hits = hits
        self.lines: list[dict[str, float]] = []
        self.learned: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"lines": self.lines, "learned": self.learned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier sitting, whose files are written again."""
        self.lines, self.learned = list(state_dict["lines"]), dict(state_dict["learned"])
        self._write()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Measure and write, when it is time."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every == 0 or epoch == trainer.max_epochs:
            found = self.measure(pl_module)
            self.lines.append({"epoch": epoch, "train_loss": float(pl_module.epoch_loss()), **found})
            if self.hits is not None:
                self._keep(epoch, *self.hits())
            self._write()
            # a row's numbers of these names are of the report half alone
            shown = ", ".join(f"{name}_all {100 * value:.1f}" for name, value in found.items() if name != "clean_train")
            log.info(f"epoch {epoch} of {trainer.max_epochs}: {shown}")

    def _keep(self, epoch: int, rows: Tensor, hits: Tensor) -> None:
        """Add which of the images ``rows`` (n,) are predicted as given, (n,) bool."""
        kept = self.learned or {
            "epochs": torch.empty(0, dtype=torch.int64),
            "hits": torch.empty(0, len(rows), dtype=torch.bool),
        }
        self.learned = {
            "rows": rows.clone(),
            "epochs": torch.cat([kept["epochs"], torch.tensor([epoch])]),
            "hits": torch.cat([kept["hits"], hits[None]]),
        }

    def _write(self) -> None:
        if not self.lines:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self.lines[0]))
        writer.writeheader()
        writer.writerows(self.lines)
        write_text(self.path, text.getvalue())
        if self.learned:
            write_whole(self.path.with_name(LEARNED), lambda temporary: save_file(self.learned, temporary))


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

"""Curves over epochs: what is memorized, recovered and learned while the network trains."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import save_file
from torch import Tensor

from vitmem.files import write_text, write_whole
from vitmem.specs import LEARNED
from vitmem.training.module import Learner

log = logging.getLogger(__name__)


class Curves(Callback):
    """Writes a line of ``path`` whenever the shares of the network are measured; a resumed run repeats none.

    Which of the training images that are looked at are predicted as given is kept for these epochs in
    ``learned.safetensors`` beside ``path``: their positions (n,), the epochs (e,) and hits (e, n) bool. Both files are
    written from what goes with the checkpoint, and never read. Of several devices, which all measure the same, one
    ``writes``.
    """

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self.lines: list[dict[str, float]] = []
        self.learned: dict[str, Tensor] = {}
        self.seen: list[Mapping[str, Tensor]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"lines": self.lines, "learned": self.learned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier sitting, whose files are written again."""
        self.lines, self.learned = list(state_dict["lines"]), dict(state_dict["learned"])
        self._write()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Have the last epoch measured, whichever it is."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_validation_start(self, *_: Any) -> None:
        """Begin a point."""
        self.seen.clear()

    def on_validation_batch_end(self, trainer: Trainer, pl_module: Learner, outputs: Any, *_: Any) -> None:  # type: ignore[override]
        """Keep the ``rows`` and ``hits`` (B,) of a batch of training images."""
        if outputs is not None:
            self.seen.append(outputs)

    def on_validation_end(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Write the point."""
        epoch = trainer.current_epoch + 1
        logged = trainer.callback_metrics
        found = {name: float(logged[name]) for name in pl_module.shares if name in logged}
        self.lines.append({"epoch": epoch, "train_loss": pl_module.epoch_loss(), **found})
        if self.seen:
            self._keep(epoch, *(torch.cat([batch[name] for batch in self.seen]).cpu() for name in ("rows", "hits")))
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
        if not (self.lines and self.writes):
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self.lines[0]))
        writer.writeheader()
        writer.writerows(self.lines)
        write_text(self.path, text.getvalue())
        if self.learned:
            write_whole(self.path.with_name(LEARNED), lambda temporary: save_file(self.learned, temporary))

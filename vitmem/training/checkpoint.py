"""The checkpoint of an unfinished training: always whole, with a digest beside it, and nothing else is resumed from."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, Trainer

from vitmem.files import file_digest, readable, write_text, write_whole
from vitmem.training.module import Learner

log = logging.getLogger(__name__)

# The folder of a training's checkpoint: it goes when the training is finished.
CHECKPOINTS = "checkpoints"
LAST, DIGESTS = "last.ckpt", "last.sha256"


class WholeFiles(CheckpointIO):
    """Checkpoints written under a temporary name in their own folder and renamed, and read without unpickling code.

    Lightning's own writer goes through the folder of temporary files, which may lie on another, smaller disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``, whole or not at all."""
        write_whole(Path(path), lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the checkpoint at ``path``, its tensors on the CPU."""
        found: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the checkpoint at ``path``."""
        Path(path).unlink(missing_ok=True)


class KeepCheckpoint(Callback):
    """Saves every epoch as ``last.ckpt`` in ``folder``, its digest beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digest = ""  # of the checkpoint that is there
        self.before = 0.0
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of earlier sittings up to their last checkpoint included."""
        return self.before + time.perf_counter() - self.started

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run goes on from."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from an earlier sitting."""
        self.before = state_dict["seconds"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Save the state after the epoch, unless its loss is not a number."""
        pl_module.epoch_loss()
        new, last = self.folder / "new.ckpt", self.folder / LAST
        trainer.save_checkpoint(new)
        old, self.digest = self.digest or (file_digest(last) if last.exists() else ""), file_digest(new)
        # a run may be killed before the new one has its name: until then the old one is known too
        write_text(self.folder / DIGESTS, f"{self.digest}\n{old}\n")
        new.replace(last)
        write_text(self.folder / DIGESTS, f"{self.digest}\n")


def resumable(folder: Path) -> Path | None:
    """Return the checkpoint in ``folder`` when it is what was written; a damaged one goes, with a warning."""
    last, digests = folder / LAST, folder / DIGESTS
    if not last.exists() and not digests.exists():
        return None
    if last.is_file() and digests.is_file():
        with readable(digests, "digests of a checkpoint"):
            known = digests.read_bytes().split()
        if file_digest(last).encode() in known:
            return last
    what = "is missing" if not last.is_file() else "has another content than was written"
    log.warning(f"{last}: it {what}; this training begins anew")
    shutil.rmtree(folder, ignore_errors=True)
    return None

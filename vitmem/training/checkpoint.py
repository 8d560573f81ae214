"""The checkpoint of an unfinished training: always whole, with a digest beside it, and nothing else is resumed from."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from vitmem.files import file_digest, readable, write_text, write_whole

log = logging.getLogger(__name__)

# The folder of a training's checkpoint: it goes when the training is finished.
CHECKPOINTS = "checkpoints"
LAST, DIGESTS = "last.ckpt", ".sha256"


class WholeFiles(CheckpointIO):
    """Checkpoints written under a temporary name in their own folder and renamed, and read without unpickling code.

    Lightning's own writer goes through the folder of temporary files, which may lie on another, smaller disk. The
    SHA-256 of a checkpoint stands beside it.
    """

    def __init__(self) -> None:
        self.digest = ""  # of the last checkpoint

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path`` and its digest, both whole or not at all."""
        path = Path(path)
        digests = path.with_suffix(DIGESTS)
        old = self.digest or (file_digest(path) if path.exists() else "")

        def write(temporary: Path) -> None:
            torch.save(checkpoint, temporary)
            self.digest = file_digest(temporary)
            # a run may be killed before the new one has its name: until then the old one is known too
            write_text(digests, f"{self.digest}\n{old}\n")

        write_whole(path, write)
        write_text(digests, f"{self.digest}\n")

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the checkpoint at ``path``, its tensors on the CPU."""
        found: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the checkpoint at ``path`` and its digest."""
        for file in (Path(path), Path(path).with_suffix(DIGESTS)):
            file.unlink(missing_ok=True)


def resumable(folder: Path) -> Path | None:
    """Return the checkpoint in ``folder`` when it is what was written; a damaged one goes, with a warning."""
    last = folder / LAST
    digests = last.with_suffix(DIGESTS)
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

"""The LightningDataModule of rows of tokens, shuffled anew every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vitmem.data.module import Batches
from vitmem.language.data.texts import AT_ONCE, Items, Rows
from vitmem.specs import seed_from


class RowsModule(LightningDataModule):
    """Training batches of ``rows``: tokens and labels (B, S). The order depends only on the seed and the epoch.

    The curves look at the answers of ``asked``, by name.
    """

    def __init__(self, rows: Rows, asked: Mapping[str, Items], *, batch_size: int, seed: int) -> None:
        super().__init__()
        self.rows = rows
        self.asked = asked
        self.batch_size = batch_size
        self.seed = seed

    @property
    def count(self) -> int:
        """Number of training rows."""
        return len(self.rows)

    def train_dataloader(self) -> Batches:
        """Return the batches of the trainer's current epoch."""
        trainer = self.trainer
        assert trainer is not None
        return Batches(-(-self.count // self.batch_size), lambda: self.batches(trainer.current_epoch))

    def val_dataloader(self) -> list[Batches]:
        """Return batches of each of ``asked``, tokens and answers (B, S)."""
        return [Batches(-(-len(items) // AT_ONCE), items.batches) for items in self.asked.values()]

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield tokens and labels (B, S) of ``epoch``."""
        generator = torch.Generator().manual_seed(seed_from("epoch", self.seed, epoch))
        order = torch.randperm(self.count, generator=generator)
        for some in order.split(self.batch_size):
            yield self.rows.tokens[some], self.rows.labels[some]

"""How the batch of one optimizer step is divided between processes, and into parts that each reads in turn.

The mean loss over a batch is the mean over all processes and parts of their mean losses, each times its weight: a share
of the batch that is twice as large counts twice as much. A process always has a share to read, as all wait for each
other in every step; where a batch has fewer images than shares it reads the first image once more, with weight 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch.distributed as dist


@dataclass(frozen=True)
class Share:
    """The share of process ``rank`` of ``ranks`` in each batch, read in ``parts``."""

    rank: int = 0
    ranks: int = 1
    parts: int = 1

    @classmethod
    def here(cls, parts: int = 1) -> Share:
        """Return the share of this process in the default process group; that of one process where there is none."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size(), parts)
        return cls(parts=parts)

    @property
    def whole(self) -> bool:
        """Whether this process reads each batch as it is."""
        return self.ranks * self.parts == 1

    def of(self, size: int) -> Iterator[tuple[slice, float]]:
        """Yield the rows of a batch of ``size`` in each part, and their weight; weights have a mean of 1."""
        shares = self.ranks * self.parts
        for part in range(self.parts):
            number = part * self.ranks + self.rank
            start, end = size * number // shares, size * (number + 1) // shares
            yield (slice(start, end) if end > start else slice(0, 1)), (end - start) * shares / size

    def weights(self, sizes: Sequence[int]) -> list[float]:
        """Return the weights of all that is read of batches of ``sizes``, in order."""
        return [weight for size in sizes for _, weight in self.of(size)]

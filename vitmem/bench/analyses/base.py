"""The input of an analysis: one training with its statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from vitmem.bench.cells import Cell
from vitmem.bench.stages import Session
from vitmem.kfac import Factors
from vitmem.specs import Statistics

Row = dict[str, Any]
# Path -> the first eigenvectors of A (q, k) and of G (p, l) of a layer
Tops = Mapping[str, tuple[Tensor, Tensor]]
# Largest number of examples in each of the two sets.
EXAMPLES = 400


@dataclass(frozen=True)
class AnalysisContext:
    """A trained network with the statistics of ``cell``; ``layers`` maps paths to the layers of the statistics.

    ``cells`` are all cells of this training, ``request`` has the options of the statistics, and ``seeds`` maps the
    seeds analysed before to the first eigenvectors of the same training with that seed.
    """

    session: Session
    cell: Cell
    cells: tuple[Cell, ...]
    request: Statistics
    factors: Factors
    layers: Mapping[str, nn.Module]
    seeds: Mapping[int, Tops] = field(default_factory=dict)

    @property
    def head(self) -> Row:
        """The first columns of each row: the id of the training, its model and its seed."""
        training = self.cell.training
        return {"training": training.id, "model": training.model.name, "seed": training.seed}

    def sets(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return equal numbers of memorized examples of the selection half and other training examples.

        Each set has inputs (n, ...) and labels (n, ...).
        """
        examples = self.session.experiment.examples()
        count = min(EXAMPLES, len(examples.forget[0]), len(examples.keep[0]))
        one, other = ((inputs[:count], labels[:count]) for inputs, labels in (examples.forget, examples.keep))
        return one, other


Analysis = Callable[[AnalysisContext], Iterator[Row]]

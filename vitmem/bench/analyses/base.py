"""One training as the analyses see it, and what every line of theirs begins with."""

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
# Examples of each of the two sets at most.
EXAMPLES = 400


@dataclass(frozen=True)
class AnalysisContext:
    """A trained network with the statistics that ``cell`` reads; ``layers`` are what these cover, by path.

    ``cells`` are all of this training.
    ``request`` is how the statistics were collected. ``seeds`` has the first eigenvectors of other seeds of the same
    training, each analysed before.
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
        """What a line begins with: the id of the training, its model and its seed."""
        training = self.cell.training
        return {"training": training.id, "model": training.model.name, "seed": training.seed}

    def sets(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return as many memorized examples of the selection half as others trained on: inputs and labels (n, ...)."""
        examples = self.session.experiment.examples()
        count = min(EXAMPLES, len(examples.forget[0]), len(examples.keep[0]))
        one, other = ((inputs[:count], labels[:count]) for inputs, labels in (examples.forget, examples.keep))
        return one, other


Analysis = Callable[[AnalysisContext], Iterator[Row]]

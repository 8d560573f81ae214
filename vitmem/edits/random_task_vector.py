"""Control: a random direction with the norm of CUTS' task vector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vitmem.edits.base import EditContext
from vitmem.edits.cuts import ByTaskVector
from vitmem.lazy import torch
from vitmem.registry import EDITS
from vitmem.specs import seed_from

if TYPE_CHECKING:
    from vitmem.edits.cuts import TaskVector


@EDITS.register("random_task_vector")
class RandomTaskVector(ByTaskVector):
    """Control: subtract a random direction of the norm of CUTS' in each matrix.

    Gaussian noise (p, q) with the norm of τ in each layer, drawn with the edit's seed, replaces the τ of ``cuts``. The
    direction is the same at every strength.
    """

    title, role = "random task vector", "control"

    def prepare(self, context: EditContext) -> TaskVector:
        """Return noise (p, q) with the norm of the task vector, by path; raises what ``cuts`` raises."""
        vector = super().prepare(context)
        noise = {}
        for path, value in vector.change.items():
            generator = torch.Generator().manual_seed(seed_from(context.seed, path))
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.device)
            noise[path] = drawn * (value.norm() / drawn.norm())
        return replace(vector, change=noise)

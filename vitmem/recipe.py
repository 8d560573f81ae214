"""How a network is trained, as suites and rows have it. Does not import torch.

A field that is ``None`` by default is left out of rows and ids.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from vitmem.blocks import BLOCK_SETS
from vitmem.errors import InputError
from vitmem.specs import Spec
from vitmem.trainer import TrainerOptions


class ExampleTied(Spec):
    """Which hidden units of the MLPs of ``blocks`` an example uses in training (Maini et al. 2023); see Recipe.

    The first ``fixed`` share of a layer's units is used by every example, each other unit by the share ``memory`` of
    the examples. Published: 0.2 and 0.1.
    """

    fixed: float = Field(default=0.2, gt=0, lt=1)
    memory: float = Field(default=0.1, gt=0, lt=1)
    blocks: str | int | tuple[int, ...] = "all"

    def model_post_init(self, _context: Any) -> None:
        """Reject an unknown set of blocks."""
        if isinstance(self.blocks, str) and self.blocks not in BLOCK_SETS:
            raise ValueError(f"blocks: expected one of {', '.join(BLOCK_SETS)} or numbers, got '{self.blocks}'")

    def fixed_units(self, hidden: int) -> int:
        """Return the number of fixed units among ``hidden``; raises InputError for none or all."""
        count = math.floor(round(self.fixed * hidden, 6))  # 0.29 * 100 is 28.999999999999996
        if not 0 < count < hidden:
            raise InputError(
                f"recipe: 'example_tied': {self.fixed:g} of {hidden} hidden units are {count}; change 'fixed'"
            )
        return count


class Recipe(Spec):
    """How a network is trained: AdamW with warm-up and cosine decay, without weight decay on norms and biases.

    ``epochs`` and ``steps`` are mutually exclusive. ``crop`` is the padding in pixels of a random crop, ``flip`` a
    random horizontal flip, ``dropout`` overrides the model's own, ``clip`` is the maximum gradient norm, ``min_lr`` the
    final learning rate as a share of ``lr``. ``curve_every`` is the number of epochs between two points of the training
    curves. ``example_tied`` directs memorization to hidden units that the method ``drop_memory`` removes. ``trainer``
    are options of Lightning's trainer.
    """

    epochs: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=128, gt=0)
    lr: float = Field(default=1e-3, gt=0)
    min_lr: float = Field(default=0.0, ge=0, le=1)
    warmup_epochs: float = Field(default=5.0, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    crop: int = Field(default=0, ge=0)
    flip: bool = False
    dropout: float | None = Field(default=None, ge=0, lt=1)
    precision: Literal["32", "bf16"] = "bf16"
    curve_every: int = Field(default=8, gt=0)
    example_tied: ExampleTied | None = None
    trainer: TrainerOptions | None = None

    def model_post_init(self, _context: Any) -> None:
        """Reject a recipe with both lengths or neither."""
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of 'epochs' and 'steps'")

    @model_serializer(mode="wrap")
    def _without_empty(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a ``trainer`` none of whose options is part of the training: the recipe is the same without it."""
        fields: dict[str, Any] = dump(self)
        part = any(value is not None for value in (fields.get("trainer") or {}).values())
        return {name: value for name, value in fields.items() if part or name != "trainer"}

    @property
    def options(self) -> TrainerOptions:
        """The options of the trainer, those that are not part of the training among them."""
        return self.trainer or TrainerOptions()

    def with_options(self, options: TrainerOptions) -> Recipe:
        """Return the recipe with ``options`` of the trainer, which win over its own."""
        return self.model_copy(update={"trainer": options.over(self.trainer)})

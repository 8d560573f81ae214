"""How a network is trained, as suites and rows have it. Does not import torch.

A field that is ``None`` by default is left out of rows and ids.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from vitmem.blocks import BLOCK_SETS
from vitmem.errors import InputError, shown
from vitmem.specs import Spec
from vitmem.trainer import TrainerOptions

# Fields of a recipe that override the model's parameter of the same name.
OVERRIDES = ("dropout", "drop_path")
Argument = bool | int | float | str | tuple[int | float | str, ...]


class NameAndArguments(Spec):
    """A name in a library with arguments; in a suite the name alone, or a mapping of ``name`` and arguments."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Argument]
    name: str

    @model_validator(mode="before")
    @classmethod
    def _of_a_name(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | cls):
            raise ValueError(f"expected a name or a mapping such as {{name: sgd, momentum: 0.9}}, got {shown(value)}")
        return {"name": value} if isinstance(value, str) else value

    @model_serializer
    def _as_written(self) -> str | dict[str, Any]:
        return {"name": self.name, **self.arguments} if self.arguments else self.name

    @property
    def arguments(self) -> dict[str, Argument]:
        """The arguments by name."""
        return dict(self.__pydantic_extra__)


def shown_call(value: Any) -> Any:
    """Return a name with arguments in a config as ``sgd(momentum=0.9)``, and any other value unchanged."""
    if not isinstance(value, dict) or "name" not in value:
        return value
    return f"{value['name']}({', '.join(f'{key}={one}' for key, one in sorted(value.items()) if key != 'name')})"


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


class RandAugment(Spec):
    """``ops`` random operations on each image, of ``magnitude`` 0 to 30 (Cubuk et al. 2020)."""

    ops: int = Field(default=2, gt=0)
    magnitude: int = Field(default=9, ge=0, le=30)


class Recipe(Spec):
    """How a network is trained: by default with AdamW, warm-up and cosine decay, no weight decay on norms and biases.

    ``epochs`` and ``steps`` are mutually exclusive, so are ``warmup_epochs`` and ``warmup_steps``. ``optimizer`` and
    ``scheduler`` name others of timm's; arguments left out have timm's defaults, times of a scheduler are epochs.
    ``layer_decay`` multiplies the learning rate from each of timm's layer groups to the one before. ``min_lr`` is the
    final learning rate as a share of ``lr``, ``clip`` the maximum gradient norm. ``ema`` is the decay in each step of
    an exponential moving average of the weights, which is measured, saved and edited instead of them. ``crop`` is the
    padding in pixels of a random crop, ``flip`` a random horizontal flip. ``random_resized_crop`` is the least and the
    most area of a random part, of aspect 3/4 to 4/3, that is scaled to the image; parts are cut from files at their own
    size if the data have a ``loading``. ``rand_augment`` applies random operations; ``random_erasing`` is the
    probability of an erased rectangle; ``mixup`` and ``cutmix`` are the parameter of the Beta distribution (of both,
    one is drawn for each batch). ``dropout`` and ``drop_path`` (stochastic depth) override the model's own.
    ``precision`` 16 and bf16 are mixed; 16 needs CUDA. ``compile`` trains with ``torch.compile``. ``curve_every`` is
    the number of epochs between two points of the training curves. ``example_tied`` directs memorization to hidden
    units that the method ``drop_memory`` removes. ``freeze`` trains the classifier alone: the trunk keeps its weights,
    and its batch normalisation its running statistics. ``trainer`` are options of Lightning's trainer.
    """

    epochs: int | None = Field(
        default=None, gt=0, description="passes over the training set; exactly one of epochs and steps"
    )
    steps: int | None = Field(default=None, gt=0, description="optimizer steps; exactly one of epochs and steps")
    batch_size: int = Field(default=128, gt=0, description="examples in an optimizer step")
    optimizer: NameAndArguments | None = None
    scheduler: NameAndArguments | None = None
    lr: float = Field(default=1e-3, gt=0, description="largest learning rate")
    layer_decay: float | None = Field(default=None, gt=0, lt=1)
    min_lr: float = Field(default=0.0, ge=0, le=1)
    warmup_epochs: float | None = Field(default=5.0, ge=0, description="epochs of linear warm-up")
    warmup_steps: int | None = Field(default=None, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(default=0.05, ge=0, description="decoupled weight decay of matrices")
    clip: float | None = Field(default=1.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of a target that is spread over all classes"
    )
    crop: int = Field(default=0, ge=0)
    flip: bool = False
    random_resized_crop: tuple[float, float] | None = None
    rand_augment: RandAugment | None = None
    random_erasing: float | None = Field(default=None, gt=0, le=1)
    mixup: float | None = Field(default=None, gt=0)
    cutmix: float | None = Field(default=None, gt=0)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    drop_path: float | None = Field(default=None, ge=0, lt=1)
    precision: Literal["16", "bf16", "32", "64"] = "bf16"
    compile: bool | None = None
    curve_every: int = Field(default=8, gt=0)
    example_tied: ExampleTied | None = None
    freeze: Literal["trunk"] | None = None
    trainer: TrainerOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_warm_up(cls, value: Any) -> Any:
        by_step = isinstance(value, dict) and value.get("warmup_steps") is not None
        return {"warmup_epochs": None, **value} if by_step else value  # the default is not both

    @field_validator("random_resized_crop")
    @classmethod
    def _shares(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] <= value[1] <= 1:
            raise ValueError(f"expected shares of the image in (0, 1], the least and the most, got {list(value)}")
        return value

    @field_validator("compile")
    @classmethod
    def _name_once(cls, value: bool | None) -> bool | None:
        return value or None  # equal recipes have one id

    def model_post_init(self, _context: Any) -> None:
        """Reject a recipe with both lengths or neither, of the training or of its warm-up."""
        for one, other in (("epochs", "steps"), ("warmup_epochs", "warmup_steps")):
            if (getattr(self, one) is None) == (getattr(self, other) is None):
                raise ValueError(f"give exactly one of '{one}' and '{other}'")
        if self.crop and self.random_resized_crop is not None:
            raise ValueError("'crop' and 'random_resized_crop' both cut the image; take one")
        if self.example_tied is not None and (self.mixup or self.cutmix):
            raise ValueError("'example_tied' ties hidden units to one image, 'mixup' and 'cutmix' mix two; take one")
        if self.freeze is not None and self.example_tied is not None:
            raise ValueError("'example_tied' ties hidden units of the trunk, which 'freeze' leaves as it is; take one")

    def warmup(self, steps_per_epoch: float) -> float:
        """Return the steps of the warm-up, not rounded."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return (self.warmup_epochs or 0.0) * steps_per_epoch

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

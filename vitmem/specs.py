"""Frozen specs, the digest that makes ids of them, and seeds that come from names. No torch.

An id is the digest of exactly what a stage depends on: names resolved to contents, defaults
filled in, ``None`` left out. Paths, hosts and devices never enter it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vitmem.blocks import BLOCK_SETS
from vitmem.errors import InputError

SCHEMA_VERSION = 1
# Files of a store that are read without the network that made them: in the folder of a training, of an evaluation.
CURVES, LEARNED, PREDICTIONS = "curves.csv", "learned.safetensors", "predictions.safetensors"


class Spec(BaseModel):
    """A frozen set of named values in which an unknown key, NaN or infinity is an error."""

    # a row is JSON, which has no word for NaN or infinity
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExampleTied(Spec):
    """Which hidden units of the MLPs of ``blocks`` an example may use in training (Maini et al. 2023); see Recipe.

    The first ``fixed`` of the units of a layer are there for every example, each of the others for ``memory`` of the
    examples. 0.2 and 0.1 are published.
    """

    fixed: float = Field(default=0.2, gt=0, lt=1)
    memory: float = Field(default=0.1, gt=0, lt=1)
    blocks: str | int | tuple[int, ...] = "all"

    def model_post_init(self, _context: Any) -> None:
        """Refuse an unknown set of blocks."""
        if isinstance(self.blocks, str) and self.blocks not in BLOCK_SETS:
            raise ValueError(f"blocks: expected one of {', '.join(BLOCK_SETS)} or numbers, got '{self.blocks}'")

    def fixed_units(self, hidden: int) -> int:
        """Return how many of ``hidden`` units are fixed; raises InputError when it is none of them or all."""
        count = math.floor(round(self.fixed * hidden, 6))  # 0.29 * 100 is 28.999999999999996
        if not 0 < count < hidden:
            raise InputError(
                f"recipe: 'example_tied': {self.fixed:g} of {hidden} hidden units are {count}; change 'fixed'"
            )
        return count


class Recipe(Spec):
    """How a network is trained: AdamW with warm-up and cosine, no weight decay on norms and biases.

    ``epochs`` and ``steps`` exclude each other. ``crop`` is the padding in pixels of a random crop,
    ``flip`` a random horizontal flip, ``dropout`` takes the place of the model's own when given, ``clip``
    the largest gradient norm, ``min_lr`` the learning rate at the end as a share of ``lr``.
    ``curve_every`` is the number of epochs between two points of the training curves. With ``example_tied``
    memorization is directed to hidden units that the method ``drop_memory`` removes.
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

    def model_post_init(self, _context: Any) -> None:
        """Refuse a recipe that has both lengths or neither."""
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of 'epochs' and 'steps'")


class Statistics(Spec):
    """How the K-FAC statistics of a trained network are collected (method.md, section 1).

    ``images`` is the number of images (or rows of text) that are read (``None``: all),
    ``positions`` which tokens count (``None``: the model's own default), ``label_samples`` the number
    of sampled labels for each loss. ``distinct`` leaves out rows of text that have stood before, so that what is
    told often counts as much as what is told once. ``held_out`` reads the selection half of the validation images
    in place of those that were trained on, their labels unseen; ``crop`` (padding in pixels) and ``flip`` change each
    image once, at random; ``temperature`` divides the logits, so that a network that is sure of its labels is less so.
    """

    labels: Literal["sampled", "given", "exact", "logit_jacobian"] = "sampled"
    positions: Literal["cls", "all", "patches"] | None = None
    images: int | None = Field(default=None, gt=0)
    label_samples: int = Field(default=1, gt=0)
    distinct: bool | None = None
    held_out: bool | None = None
    crop: int | None = Field(default=None, ge=0)
    flip: bool | None = None
    temperature: float | None = Field(default=None, gt=0)

    @field_validator("held_out", "crop", "flip")
    @classmethod
    def name_once(cls, value: bool | int | None) -> bool | int | None:
        """Return ``None`` for what is off: the same statistics have one id."""
        return value or None

    @field_validator("temperature")
    @classmethod
    def name_one_once(cls, value: float | None) -> float | None:
        """Return ``None`` for a temperature of 1, which changes nothing."""
        return None if value == 1 else value


def canonical(value: Any) -> Any:
    """Return ``value`` as plain JSON types with ``None`` entries of mappings left out."""
    if isinstance(value, BaseModel):
        return canonical(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    return value


def digest(value: Any) -> str:
    """Return the 16 hexadecimal digits that name ``value`` (SHA-256 of its canonical JSON)."""
    text = json.dumps([SCHEMA_VERSION, canonical(value)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seed_from(*parts: Any) -> int:
    """Return a seed in [0, 2**63) that depends on ``parts`` alone: seeds come from names."""
    text = json.dumps([canonical(p) for p in parts], sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def explain(error: ValidationError, where: str, spec: type[BaseModel]) -> str:
    """Return one sentence for the first problem of ``error``, with the nearest key for a typo."""
    problem = error.errors()[0]
    place = ".".join(str(p) for p in problem["loc"]) or "value"
    if problem["type"] == "extra_forbidden":
        key, spec = str(problem["loc"][-1]), _inner(spec, problem["loc"][:-1])
        near = difflib.get_close_matches(key, list(spec.model_fields), n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(spec.model_fields)}"
        return f"{where}: unknown key '{place}'; {hint}"
    text = problem["msg"].removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    got = "" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r}"
    return f"{where}: '{place}': {text}{got}"


def _inner(spec: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """Return the spec at ``place`` inside ``spec``."""
    for part in place:
        annotation = spec.model_fields[str(part)].annotation
        spec = next(t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel))
    return spec

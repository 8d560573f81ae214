"""Frozen specs, the digest that makes ids of them, and seeds that come from names. No torch.

An id is the digest of exactly what a stage depends on: names resolved to contents, defaults
filled in, ``None`` left out. Paths, hosts and devices never enter it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import CoreSchema, no_info_before_validator_function

from vitmem.blocks import BLOCK_SETS
from vitmem.errors import InputError, nearest, shown

SCHEMA_VERSION = 1
# How a config has a file, see ``vitmem.contents``.
FILE = {"path", "sha256"}
# Files of a store that are read without the network that made them: in the folder of a training, of an evaluation.
CURVES, LEARNED, PREDICTIONS = "curves.csv", "learned.safetensors", "predictions.safetensors"


def _strict(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    new = {key: value if key in ("default", "metadata") else _strict(value) for key, value in schema.items()}
    if new.get("type") in ("int", "float", "str", "bool"):
        new["strict"] = True
    if new.get("type") == "literal":  # in which True and 1.0 equal 1
        return no_info_before_validator_function(_no_stand_in(new["expected"]), new)
    return new


def _no_stand_in(expected: Sequence[Any]) -> Any:
    def check(value: Any) -> Any:
        if isinstance(value, bool | float) and not any(value == one and type(value) is type(one) for one in expected):
            raise ValueError(f"input should be {' or '.join(map(repr, expected))}, got {shown(value)}")
        return value

    return check


class Spec(BaseModel):
    """A frozen set of named values in which an unknown key, NaN or infinity is an error.

    A value is taken as it is written: a number is no text and no yes-or-no, ``True`` and ``"1"`` are no numbers, 2.0 is
    no whole number. A list stands for a tuple, and a whole number for a float.
    """

    # a row is JSON, which has no word for NaN or infinity
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of pydantic with plain values taken strictly; its own strict mode refuses lists too."""
        strict: CoreSchema = _strict(handler(source))
        return strict


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
    ``source`` names another data set whose images are read in place of those trained on, in their order, no label
    seen; ``classes`` reads the training images with these given labels alone, ``without`` all but those.
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
    source: dict[str, Any] | None = None
    classes: tuple[int, ...] | None = Field(default=None, min_length=1)
    without: tuple[int, ...] | None = Field(default=None, min_length=1)

    @field_validator("classes", "without")
    @classmethod
    def in_order(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Return the classes sorted, each once: the same images have one id."""
        return None if value is None else tuple(sorted(set(value)))

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


# Made once: ids are made by the thousand.
ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> Any:
    """Return ``value`` as plain JSON types with ``None`` entries of mappings left out; a file is its content alone."""
    if isinstance(value, BaseModel):
        return canonical(value.model_dump(mode="json"))
    if isinstance(value, dict):
        if value.keys() == FILE:
            return {"sha256": value["sha256"]}
        return {str(k): canonical(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    return value


def digest(value: Any) -> str:
    """Return the 16 hexadecimal digits that name ``value`` (SHA-256 of its canonical JSON)."""
    text = ENCODER.encode([SCHEMA_VERSION, canonical(value)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seed_from(*parts: Any) -> int:
    """Return a seed in [0, 2**63) that depends on ``parts`` alone: seeds come from names."""
    text = json.dumps([canonical(p) for p in parts], sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def explain(error: ValidationError, where: str, spec: type[BaseModel]) -> str:
    """Return one sentence for the first problem of ``error``, with the nearest key for a typo."""
    # an unknown key first: a field that is missing beside it is the one that was meant
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem, place = problems[0], _place(problems)
    named = ".".join(str(part)[:60] for part in place if "[" not in str(part)) or "value"
    if problem["type"] == "extra_forbidden":
        known = list(_inner(spec, place[:-1]).model_fields)
        return f"{where}: unknown key {shown(named)}; {nearest(str(place[-1]), known)}"
    text = _expected(problems, place)
    got = "" if problem["type"] in ("missing", "value_error") else f", got {shown(problem['input'])}"
    return f"{where}: '{named}': {text}{got}{_hint(problem)}"


def _place(problems: Sequence[ErrorDetails]) -> tuple[int | str, ...]:
    """Return where the first problem is; of a value that may be of several kinds, without the kind."""
    place = problems[0]["loc"]
    kinds = len({p["loc"] for p in problems if p["loc"][:-1] == place[:-1] and p["input"] is problems[0]["input"]})
    return place[:-1] if kinds > 1 and len(place) > 1 else place


def _expected(problems: Sequence[ErrorDetails], place: tuple[int | str, ...]) -> str:
    """Return what was expected at ``place``, each kind of value that may stand there."""
    first, *others = dict.fromkeys(
        p["msg"].removeprefix("Value error, ") for p in problems if p["loc"][: len(place)] == place
    )
    same = "Input should be "
    text = " or ".join([first, *(other.removeprefix(same) for other in others if other.startswith(same))])
    return (text[:1].lower() + text[1:]).replace("valid tuple", "list").replace("valid dictionary", "mapping")


def _hint(problem: ErrorDetails) -> str:
    """Return what to try where a value has the look of another kind."""
    got, kind = problem["input"], problem["type"]
    if isinstance(got, str) and kind in ("int_type", "float_type"):
        if re.fullmatch(r"[-+]?\d+,\d+", got):
            return f"; a number has a point: {got.replace(',', '.')}"
        return "; without quotes it is a number" if re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", got) else ""
    if isinstance(got, bool) and kind in ("int_type", "float_type", "string_type"):
        return "; yes, no, on and off are true and false in YAML, in quotes they are texts" if kind[0] == "s" else ""
    if isinstance(got, int | float) and kind == "string_type":
        return "; in quotes it is a text"
    if isinstance(got, float) and kind == "int_type" and got.is_integer():
        return f"; write {int(got)}"
    return ""


def _inner(spec: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """Return the spec at ``place`` inside ``spec``."""
    for part in place:
        if str(part) in spec.model_fields:  # others are positions in a list and the kinds of a value
            kinds = (annotation := spec.model_fields[str(part)].annotation, *get_args(annotation))
            spec = next((t for t in kinds if isinstance(t, type) and issubclass(t, BaseModel)), spec)
    return spec

"""Frozen specs, their digests as ids, and seeds derived from names. Does not import torch.

An id is the digest of exactly the inputs of a stage: names resolved to contents, defaults filled in, ``None`` left out.
It contains no paths, hosts or devices.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import CoreSchema, no_info_before_validator_function

from vitmem.errors import nearest, shown

SCHEMA_VERSION = 1
# The form of a file in a config, see ``vitmem.contents``.
FILE = {"path", "sha256"}
# Files of a store that are read without their network: in the folder of a training, of an evaluation.
CURVES, LEARNED, PREDICTIONS = "curves.csv", "learned.safetensors", "predictions.safetensors"


def _strict(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    new = {key: value if key in ("default", "metadata") else _strict(value) for key, value in schema.items()}
    if new.get("type") in ("int", "float", "str", "bool"):
        new["strict"] = True
    if new.get("type") == "literal":  # where True and 1.0 would equal 1
        return no_info_before_validator_function(_no_stand_in(new["expected"]), new)
    return new


def _no_stand_in(expected: Sequence[Any]) -> Any:
    def check(value: Any) -> Any:
        if isinstance(value, bool | float) and not any(value == one and type(value) is type(one) for one in expected):
            raise ValueError(f"input should be {' or '.join(map(repr, expected))}, got {shown(value)}")
        return value

    return check


class Spec(BaseModel):
    """A frozen set of named values that rejects unknown keys, NaN and infinity.

    Values are not converted: a number is neither a text nor a boolean, ``True`` and ``"1"`` are not numbers, 2.0 is not
    an integer. Exceptions: a list is accepted as a tuple, and an integer as a float.
    """

    # a row is JSON, which cannot represent NaN or infinity
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema with strict scalars; its own strict mode rejects lists too."""
        strict: CoreSchema = _strict(handler(source))
        return strict


class Statistics(Spec):
    """How the K-FAC statistics of a trained network are collected (method.md, section 1).

    ``images`` is the number of images (or rows of text) to read (``None``: all), ``positions`` the counted tokens
    (``None``: the model's default), ``label_samples`` the number of sampled labels for each loss. ``distinct`` drops
    repeated rows of text, so that repetition has no weight. ``held_out`` reads the selection half of the validation
    images instead of the training images, without labels; ``crop`` (padding in pixels) and ``flip`` augment each image
    once, at random; ``temperature`` divides the logits, to soften a confident network. ``source`` names another dataset
    whose images are read instead, in their order, without labels; ``classes`` restricts the training images to these
    given labels, ``without`` excludes them.
    """

    labels: Literal["sampled", "given", "exact", "logit_jacobian"] = Field(
        default="sampled",
        description="labels of the backward pass: drawn from the network, those of the data, all weighted by their "
        "probability, or random signs at the logits",
    )
    positions: Literal["cls", "all", "patches"] | None = None
    images: int | None = Field(default=None, gt=0)
    label_samples: int = Field(default=1, gt=0)
    distinct: bool | None = None
    held_out: bool | None = None
    crop: int | None = Field(default=None, ge=0)
    flip: bool | None = Field(default=None, description="flip each image with probability 1/2, once")
    temperature: float | None = Field(default=None, gt=0)
    source: dict[str, Any] | None = None
    classes: tuple[int, ...] | None = Field(default=None, min_length=1)
    without: tuple[int, ...] | None = Field(default=None, min_length=1)

    @field_validator("classes", "without")
    @classmethod
    def in_order(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Return the classes sorted and unique, so that equal selections have one id."""
        return None if value is None else tuple(sorted(set(value)))

    @field_validator("held_out", "crop", "flip")
    @classmethod
    def name_once(cls, value: bool | int | None) -> bool | int | None:
        """Return ``None`` for a disabled option, so that equal statistics have one id."""
        return value or None

    @field_validator("temperature")
    @classmethod
    def name_one_once(cls, value: float | None) -> float | None:
        """Return ``None`` for a temperature of 1, which changes nothing."""
        return None if value == 1 else value


class Normalisation(Spec):
    """How images enter a network: (image - ``mean``) / ``std``, one number for each channel; white is 1."""

    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    std: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)

    def model_post_init(self, _context: Any) -> None:
        """Reject different numbers of channels."""
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"expected as many numbers in 'mean' as in 'std', got {len(self.mean)} and {len(self.std)}"
            )


# By name or by numbers; an error names the field without the tag, which has a bracket.
AnyNormalisation = Annotated[
    Annotated[Literal["imagenet", "published", "data"], Tag("[name]")] | Annotated[Normalisation, Tag("[numbers]")],
    Discriminator(lambda value: "[numbers]" if isinstance(value, dict | Normalisation) else "[name]"),
]

# Created once, because ids are made by the thousand.
ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> Any:
    """Return ``value`` as plain JSON types without ``None`` entries of mappings; a file is reduced to its content."""
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
    """Return the 16 hexadecimal digits that identify ``value`` (SHA-256 of its canonical JSON)."""
    text = ENCODER.encode([SCHEMA_VERSION, canonical(value)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seed_from(*parts: Any) -> int:
    """Return a seed in [0, 2**63) that depends only on ``parts``, such as names."""
    text = json.dumps([canonical(p) for p in parts], sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def explain(error: ValidationError, where: str, spec: type[BaseModel]) -> str:
    """Return one sentence for the first problem of ``error``, suggesting the nearest key for a typo."""
    # an unknown key first: a missing field is probably the misspelt one
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
    """Return the location of the first problem, without the alternative of a union type."""
    place = problems[0]["loc"]
    kinds = len({p["loc"] for p in problems if p["loc"][:-1] == place[:-1] and p["input"] is problems[0]["input"]})
    return place[:-1] if kinds > 1 and len(place) > 1 else place


def _expected(problems: Sequence[ErrorDetails], place: tuple[int | str, ...]) -> str:
    """Return the expected kinds of values at ``place``."""
    first, *others = dict.fromkeys(
        p["msg"].removeprefix("Value error, ") for p in problems if p["loc"][: len(place)] == place
    )
    same = "Input should be "
    text = " or ".join([first, *(other.removeprefix(same) for other in others if other.startswith(same))])
    return (text[:1].lower() + text[1:]).replace("valid tuple", "list").replace("valid dictionary", "mapping")


def _hint(problem: ErrorDetails) -> str:
    """Return a suggestion for a value that looks like another kind."""
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
        if str(part) in spec.model_fields:  # other parts are list indices and union alternatives
            kinds = (annotation := spec.model_fields[str(part)].annotation, *get_args(annotation))
            spec = next((t for t in kinds if isinstance(t, type) and issubclass(t, BaseModel)), spec)
    return spec

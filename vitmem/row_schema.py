"""What a row must hold for every reader: its fields, their types, and shares within [0, 1]. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError, WithJsonSchema, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from vitmem.errors import shown

ROW_SCHEMA = 1
# Metrics that are a part of something; a plug-in's own have whatever range it gives them.
SHARES = frozenset(
    (
        *("memorized", "recovered", "other", "clean_train", "given_train", "train_changed", "worst_class", "loose"),
        *("validation", "agreement", "wrong_to_right", "right_to_wrong", "ece", "adaptive_ece", "distance"),
        *("knn_backed", "knn_unbacked", "loss_upper_share", "held_out_balance", "held_out_confidence", "drift_changed"),
        *("control_drift_changed", "control_recited", "ndcg", "ndcg_overlap", "suffix_accuracy"),
    )
)
SHARES_OF = re.compile(
    r"(memorized|validation)_class_\d+|validation_(without_\w+|agreement_humans)|(auroc|ap)_(loss|margin|loss_rise)|"
    r"conditional_(memorized|recovered|other)|reference_(memorized|recovered)|ablated_(memorized|recovered|validation)|"
    r"accuracy_(arithmetic|logic|rule|open_book|closed_book(_frequent|_middle|_rare)?)"
)
# A mean of float32 may be a little more than 1.
SLACK = 1e-6
# What a row of each status has beside the fields of every row.
OF_STATUS: Mapping[str, tuple[str, ...]] = {
    "ok": ("metrics", "selection", "edit", "costs", "counts", "environment"),
    "failed": ("reason",),
}
KINDS = {
    "string_type": "a text",
    "dict_type": "a mapping",
    "int_type": "a whole number",
    "float_type": "a number",
    "literal_error": "'ok' or 'failed'",
}
OPEN = ConfigDict(extra="allow", strict=True)


def _in_range(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if _share(name) and not -SLACK <= value <= 1 + SLACK:
            raise PydanticCustomError("share", "expected a share in [0, 1]", {"name": name, "value": value})
    return values


def _amounts(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if not isinstance(value, (int, float)) or value < 0:
            raise PydanticCustomError(
                "amount", "expected a number that is not negative", {"name": name, "value": value}
            )
    return values


@lru_cache(maxsize=4096)
def _share(name: str) -> bool:
    return name in SHARES or SHARES_OF.fullmatch(name) is not None


_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
Metrics = Annotated[
    dict[str, float],
    AfterValidator(_in_range),
    WithJsonSchema(
        {
            "type": "object",
            "properties": dict.fromkeys(sorted(SHARES), _SHARE),
            "patternProperties": {f"^({SHARES_OF.pattern})$": _SHARE},
            "additionalProperties": {"type": "number"},
        }
    ),
]
Amounts = Annotated[
    dict[str, Any],
    AfterValidator(_amounts),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["number", "boolean"], "minimum": 0}}),
]


@with_config(OPEN)
class Named(TypedDict):
    """A data set, noise model or model with its parameters."""

    name: str


@with_config(OPEN)
class EditNamed(TypedDict):
    """An edit with its parameters, blocks and layers."""

    method: str


@with_config(OPEN)
class RowConfig(TypedDict):
    """What the row is of, as the suite resolves it; the id is its digest, with versions."""

    data: Named
    noise: Named
    model: Named
    recipe: dict[str, Any]
    seed: int
    edit: EditNamed
    statistics: NotRequired[dict[str, Any]]
    oracle: NotRequired[str]


@with_config(OPEN)
class Ids(TypedDict):
    """Ids of the stages in the store."""

    training: str
    statistics: NotRequired[str]
    second: NotRequired[str]


@with_config(OPEN)
class EditReport(TypedDict, total=False):
    """What the edit did: totals over ``layers`` (by path), what the method was given, and passes it took gradients in.

    ``probe`` marks a method that looks into a network and competes with none.
    """

    layers: Required[dict[str, dict[str, Any]]]
    kept_pairs: int
    total_pairs: int
    kept_mass: float
    relative_change: float
    information: str
    passes: float
    probe: bool


@with_config(OPEN)
class Row(TypedDict, total=False):
    """One cell of a suite: an edit of a training, measured on the report half and on the selection half.

    ``metrics`` and ``selection`` have numbers by name, ``outcomes`` packed bits by image, ``costs`` seconds, bytes and
    counts. A row that failed has ``reason``, and ``traceback``, where that lies in the store.
    """

    schema: Required[int]
    id: Required[str]
    suite: Required[str]
    status: Required[Literal["ok", "failed"]]
    ids: Required[Ids]
    config: Required[RowConfig]
    metrics: Metrics
    selection: Metrics
    outcomes: dict[str, str]
    metric_versions: dict[str, str]
    edit: EditReport
    costs: Amounts
    counts: Amounts
    data: dict[str, Any]
    noise: dict[str, Any]
    views: dict[str, str]
    sources: dict[str, dict[str, Any]]
    stopped: dict[str, Any]
    environment: dict[str, Any]
    environments: dict[str, dict[str, Any]]
    reason: str
    traceback: str


_ROW = TypeAdapter(Row)


def fault(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with ``row`` (``expected ..., got ...``), ``None`` for one that every reader can read."""
    if row.get("schema") != ROW_SCHEMA:
        return (
            f"a row of schema {_said(row.get('schema'))}, this version reads schema {ROW_SCHEMA}; move the file away "
            "and run the suite again, or use the version that wrote it"
        )
    try:
        _ROW.validate_python(row)
    except ValidationError as error:
        return _sentence(error)
    missing = next((key for key in OF_STATUS[row["status"]] if key not in row), None)
    return missing and f"expected a value for '{missing}', got nothing"


def row_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a row."""
    found = _ROW.json_schema()
    found["properties"]["schema"] = {"const": ROW_SCHEMA}
    found["properties"]["digest"] = {"type": "string", "description": "SHA-256 of the line before it, 16 digits"}
    of_status = [
        {"if": {"properties": {"status": {"const": status}}}, "then": {"required": list(keys)}}
        for status, keys in OF_STATUS.items()
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "allOf": of_status}


def _sentence(error: ValidationError) -> str:
    """Return what the first problem of ``error`` is."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] in ("share", "amount"):  # of one of several values
        named = problem["ctx"]
        return f"{problem['msg']} for '{place}.{named['name']}', got {_said(named['value'])}"
    if problem["type"] == "missing":
        return f"expected a value for '{place}', got nothing"
    return f"expected {KINDS.get(problem['type'], problem['msg'])} for '{place}', got {_said(problem['input'])}"


def _said(value: Any) -> str:
    return "nothing" if value is None else shown(value)

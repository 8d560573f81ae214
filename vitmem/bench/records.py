"""The JSON records of the stages in the store."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict


class Cost(TypedDict):
    """Common fields of all stages: the peak memory in bytes, and versions and device."""

    peak_memory_bytes: int
    environment: NotRequired[dict[str, Any]]


class TrainingRecord(Cost):
    """``training.json``: total seconds including resumed runs; ``stopped`` for early-stopped weights."""

    config: dict[str, Any]
    training_seconds: float
    training_resumed: bool
    stopped: NotRequired[dict[str, Any]]


class StatisticsRecord(Cost):
    """``statistics.json``: the request, the layers of the same pass, and the number of images or rows."""

    request: dict[str, Any]
    positions: str
    images: int
    source: NotRequired[dict[str, str]]
    layers: list[str]
    statistics_seconds: float


class EditRecord(Cost):
    """``result.json``: the ``LayerReport`` of each edited matrix, and the gradient passes over the data."""

    layers: dict[str, dict[str, float]]
    passes: NotRequired[float]
    edit_seconds: float
    evaluate_seconds: float

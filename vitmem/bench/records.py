"""What the stages of a cell write beside their tensors: the JSON files of a store."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict


class Cost(TypedDict):
    """Of every stage: the largest memory in bytes, and versions and device."""

    peak_memory_bytes: int
    environment: NotRequired[dict[str, Any]]


class TrainingRecord(Cost):
    """``training.json``: seconds in all sittings, and ``stopped`` where the weights are of an earlier epoch."""

    config: dict[str, Any]
    training_seconds: float
    training_resumed: bool
    stopped: NotRequired[dict[str, Any]]


class StatisticsRecord(Cost):
    """``statistics.json``: the request, the layers that were collected together, and the number of images or rows."""

    request: dict[str, Any]
    positions: str
    images: int
    source: NotRequired[dict[str, str]]
    layers: list[str]
    statistics_seconds: float


class EditRecord(Cost):
    """``result.json``: what ``LayerReport`` says of each edited matrix, and passes of the data for gradients."""

    layers: dict[str, dict[str, float]]
    passes: NotRequired[float]
    edit_seconds: float
    evaluate_seconds: float

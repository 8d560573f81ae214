"""Ids of stages: digests of configs as rows have them. No torch.

The id of a stage is the digest of exactly what it depends on, so two suites that need the same
training share it, and a change of an entry's version makes the stages that use it new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitmem.specs import digest

Config = dict[str, Any]
# Bumped when the stage itself (not a registered entry) changes what it computes.
STAGE_VERSIONS = {"training": 1, "statistics": 1, "evaluation": 1}
TRAINING_KEYS = ("data", "noise", "model", "recipe", "seed")


def training_config(config: Mapping[str, Any]) -> Config:
    """Return the part of a row's config that its training depends on."""
    oracle = {"oracle": config["oracle"]} if "oracle" in config else {}
    return {**{key: config[key] for key in TRAINING_KEYS}, **oracle}


def training_id(config: Mapping[str, Any], versions: Sequence[int]) -> str:
    """Return the id of the training of ``config``; ``versions`` are those of its data, noise and model."""
    stage = ["training", STAGE_VERSIONS["training"]]
    return digest({"stage": stage, "config": training_config(config), "versions": list(versions)})


def request_config(statistics: Mapping[str, Any], moments: str, layers: Sequence[str] | None) -> Config:
    """Return how ``statistics`` are collected: as a suite asks, the moments beside A and G, patterns of layers."""
    return {**statistics, "moments": moments, **({} if layers is None else {"layers": list(layers)})}


def statistics_id(training: str, request: Mapping[str, Any]) -> str:
    """Return the id of the statistics that ``request`` asks of the training with that id."""
    return digest({"stage": ["statistics", STAGE_VERSIONS["statistics"]], "training": training, "request": request})


def evaluation_id(training: str, statistics: str | None, edit: Mapping[str, Any], versions: Sequence[int]) -> str:
    """Return the id of the predictions after ``edit``; ``versions`` are its own and those of the edits before it."""
    version, *inner = versions
    return digest(
        {
            "stage": ["evaluation", STAGE_VERSIONS["evaluation"]],
            "training": training,
            "statistics": statistics,
            "edit": edit,
            "version": [version, *inner] if inner else version,
        }
    )


def row_id(evaluation: str, views: Sequence[str]) -> str:
    """Return the id of a row: that of its evaluation, another one with ``views`` (sorted) among its measures."""
    return digest({"evaluation": evaluation, "views": list(views)}) if views else evaluation

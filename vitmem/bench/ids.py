"""Ids of stages: digests of configs as rows have them. No torch.

The id of a stage is the digest of all its inputs. Suites with an equal training share it, and a new version of an entry
gives new ids to its stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitmem.specs import digest

Config = dict[str, Any]
# Increased when the computation of the stage itself (not of a registered entry) changes.
STAGE_VERSIONS = {"training": 1, "statistics": 1, "evaluation": 1}
TRAINING_KEYS = ("data", "noise", "model", "recipe", "seed")


def training_config(config: Mapping[str, Any]) -> Config:
    """Return the training part of a row's config."""
    oracle = {"oracle": config["oracle"]} if "oracle" in config else {}
    return {**{key: config[key] for key in TRAINING_KEYS}, **oracle}


def training_id(config: Mapping[str, Any], versions: Sequence[int]) -> str:
    """Return the id of the training of ``config`` with the ``versions`` of its data, noise and model."""
    stage = ["training", STAGE_VERSIONS["training"]]
    return digest({"stage": stage, "config": training_config(config), "versions": list(versions)})


def request_config(statistics: Mapping[str, Any], moments: str, layers: Sequence[str] | None) -> Config:
    """Return the config of a request: the suite's ``statistics``, the moments besides A and G, patterns of layers."""
    return {**statistics, "moments": moments, **({} if layers is None else {"layers": list(layers)})}


def statistics_id(training: str, request: Mapping[str, Any]) -> str:
    """Return the id of the statistics of ``request`` for the training with the id ``training``."""
    return digest({"stage": ["statistics", STAGE_VERSIONS["statistics"]], "training": training, "request": request})


def evaluation_id(training: str, statistics: str | None, edit: Mapping[str, Any], versions: Sequence[int]) -> str:
    """Return the id of the predictions after ``edit``; ``versions`` has its own, then those of its inner edits."""
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
    """Return the id of a row: that of its evaluation, or a digest of it and of ``views`` (sorted)."""
    return digest({"evaluation": evaluation, "views": list(views)}) if views else evaluation

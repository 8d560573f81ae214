"""What a row must hold for every reader: its fields, their types, and shares within [0, 1]. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

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


def fault(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with ``row`` (``expected ..., got ...``), ``None`` for one that every reader can read."""
    if row.get("schema") != ROW_SCHEMA:
        return (
            f"a row of schema {_said(row.get('schema'))}, this version reads schema {ROW_SCHEMA}; move the file away "
            "and run the suite again, or use the version that wrote it"
        )
    status = row.get("status")
    if status not in ("ok", "failed"):
        return f"expected 'ok' or 'failed' for 'status', got {_said(status)}"
    return (
        _typed(row, "", id=str, suite=str, ids=dict, config=dict)
        or _typed(row["ids"], "ids.", training=str)
        or _config_fault(row["config"])
        or (_ok_fault(row) if status == "ok" else _typed(row, "", reason=str))
    )


def _config_fault(config: Mapping[str, Any]) -> str | None:
    return (
        _typed(config, "config.", data=dict, noise=dict, model=dict, recipe=dict, edit=dict, seed=int)
        or _typed(config["data"], "config.data.", name=str)
        or _typed(config["noise"], "config.noise.", name=str)
        or _typed(config["model"], "config.model.", name=str)
        or _typed(config["edit"], "config.edit.", method=str)
    )


def _ok_fault(row: Mapping[str, Any]) -> str | None:
    fault = _typed(
        row, "", metrics=dict, selection=dict, edit=dict, costs=dict, counts=dict, environment=dict
    ) or _typed(row["edit"], "edit.", layers=dict)
    if fault is not None:
        return fault
    for section in ("metrics", "selection"):
        for name, value in row[section].items():
            if value.__class__ is not float and value.__class__ is not int:
                return f"expected a number for '{section}.{name}', got {_said(value)}"
            if _share(name) and not -SLACK <= value <= 1 + SLACK:
                return f"expected a share in [0, 1] for '{section}.{name}', got {_said(value)}"
    for section in ("costs", "counts"):
        for name, value in row[section].items():
            if not isinstance(value, (int, float)) or value < 0:
                return f"expected a number that is not negative for '{section}.{name}', got {_said(value)}"
    for name, value in row.get("outcomes", {}).items():
        if not isinstance(value, str):
            return f"expected a text for 'outcomes.{name}', got {_said(value)}"
    for path, layer in row["edit"]["layers"].items():
        if layer.__class__ is not dict:
            return f"expected a mapping for 'edit.layers.{path}', got {_said(layer)}"
    return None


@lru_cache(maxsize=4096)
def _share(name: str) -> bool:
    return name in SHARES or SHARES_OF.fullmatch(name) is not None


def _typed(values: Mapping[str, Any], place: str, **kinds: type) -> str | None:
    for name, kind in kinds.items():
        if not isinstance(value := values.get(name), kind) or (kind is int and value.__class__ is bool):
            words = {str: "a text", dict: "a mapping", int: "a whole number"}
            return f"expected {words[kind]} for '{place}{name}', got {_said(value)}"
    return None


def _said(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."

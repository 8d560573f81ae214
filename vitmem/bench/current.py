"""Which rows of a suite are current, and whether the config of a row belongs to its id. No torch."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitmem.bench.ids import (
    evaluation_id,
    request_config,
    row_id,
    statistics_id,
    training_config,
    training_id,
)
from vitmem.entries import AFTER, Edit
from vitmem.errors import InputError
from vitmem.metrics.versions import Currency
from vitmem.registry import DATA, EDITS, MODELS, NOISES, edit_of
from vitmem.rows import Row, read_rows


def rows_of(path: Path) -> list[Row]:
    """Return the rows in the file ``path``, none where there is no file; raises as ``read_rows`` does."""
    return read_rows(path, RowIds().belongs) if path.exists() else []


def finished_ids(rows: Iterable[Row]) -> set[str]:
    """Return the ids of the rows that did not fail and were made by the metrics of now."""
    current = Currency().current
    return {row["id"] for row in rows if row["status"] == "ok" and current(row)}


def outdated_ids(rows: Iterable[Row]) -> set[str]:
    """Return the ids of the rows that did not fail and were made by other metrics than those of now."""
    current = Currency().current
    return {row["id"] for row in rows if row["status"] == "ok" and not current(row)}


class RowIds:
    """Makes ids of the configs of rows, those of the trainings that they share once."""

    def __init__(self) -> None:
        self._trainings: dict[str, frozenset[str]] = {}

    def belongs(self, row: Row) -> bool:
        """Say whether the config of ``row`` gives its ids, by the versions of now or earlier ones of what it names.

        Of a plug-in's entry that is not registered here this cannot be told, and is believed.
        """
        config, ids = row["config"], row["ids"]
        try:
            if not _known(config):
                return True
            key = json.dumps(training_config(config), sort_keys=True)
            if key not in self._trainings:
                some = _up_to(_training_versions(config))
                self._trainings[key] = frozenset(training_id(config, versions) for versions in some)
            if ids["training"] not in self._trainings[key]:
                return False
            edit = edit_of(config["edit"])
            statistics = _statistics_id(config, ids["training"], edit)
            if statistics != ids.get("statistics"):
                return False
            views = sorted(set(row.get("views", ())))
            evaluations = (
                evaluation_id(ids["training"], statistics, config["edit"], versions)
                for versions in _up_to([one.version for one in edit.chain()])
            )
            return any(row_id(evaluation, views) == row["id"] for evaluation in evaluations)
        except (InputError, KeyError, TypeError, ValueError, AttributeError):  # a config that no suite gives
            return False


def _known(config: Mapping[str, Any]) -> bool:
    """Say whether everything that ``config`` names is registered here."""
    edits = [config["edit"], *([inner] if isinstance(inner := config["edit"].get(AFTER), dict) else [])]
    try:
        _training_versions(config)
        for edit in edits:
            EDITS.get(edit["method"])
    except InputError:
        return False
    return True


def _training_versions(config: Mapping[str, Any]) -> list[int]:
    """Return the versions of the data, noise and model of a row's config."""
    kinds = (("data", DATA), ("noise", NOISES), ("model", MODELS))
    return [registry.get(config[kind]["name"]).version for kind, registry in kinds]


def _statistics_id(config: Mapping[str, Any], training: str, edit: Edit) -> str | None:
    if "statistics" not in config:
        return None
    moments = "plain" if edit.needs is None else edit.needs.moments
    return statistics_id(training, request_config(config["statistics"], moments, config["edit"].get("layers")))


def _up_to(versions: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield all versions that entries may have had, the latest first."""
    return itertools.product(*(range(version, 0, -1) for version in versions))

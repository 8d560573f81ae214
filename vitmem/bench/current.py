"""Current and outdated rows of a suite, and the check of a row's config against its id. No torch."""

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
    """Return the rows in the file ``path``, none without a file; raises as ``read_rows`` does."""
    return read_rows(path, RowIds().belongs) if path.exists() else []


def finished_ids(rows: Iterable[Row]) -> set[str]:
    """Return the ids of the successful rows with the current versions of the metrics."""
    current = Currency().current
    return {row["id"] for row in rows if row["status"] == "ok" and current(row)}


def outdated_ids(rows: Iterable[Row]) -> set[str]:
    """Return the ids of the successful rows with other versions of the metrics."""
    current = Currency().current
    return {row["id"] for row in rows if row["status"] == "ok" and not current(row)}


class RowIds:
    """Computes ids from the configs of rows, with a cache of training ids."""

    def __init__(self) -> None:
        self._trainings: dict[str, frozenset[str]] = {}

    def belongs(self, row: Row) -> bool:
        """Return whether the config of ``row`` gives its ids, for current or earlier versions of its entries.

        True for a row with an unregistered entry, such as one of a plug-in.
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
        except (InputError, KeyError, TypeError, ValueError, AttributeError):  # no suite has such a config
            return False


def _known(config: Mapping[str, Any]) -> bool:
    """Return whether all entries of ``config`` are registered."""
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
    """Yield all combinations of current and earlier versions, the latest first."""
    return itertools.product(*(range(version, 0, -1) for version in versions))

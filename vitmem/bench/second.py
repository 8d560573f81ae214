"""Requests for statistics in a suite: another data set as ``source``, and the second set of an edit. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitmem.bench.cells import SourceShared, as_config
from vitmem.bench.ids import Config
from vitmem.bench.sweep import many, named, plain
from vitmem.errors import InputError, shown
from vitmem.registry import EDITS
from vitmem.specs import Statistics

SECOND = "second"


def statistics_asked(value: Any, where: str, data_dir: Path | None = None) -> Iterator[Statistics]:
    """Yield the requests for statistics of ``value``, one for every combination of its lists.

    A ``source`` is resolved like the data of a suite. Raises InputError, prefixed with ``where``, for invalid values.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a mapping such as {{held_out: true}}, got {shown(value)}")
    if value.get("source") is None:
        yield from plain(value, Statistics, where)
        return
    if value["source"] == []:
        raise InputError(f"{where}: 'source': expected a mapping or a list of them, got an empty list")
    for one in many(value["source"]):
        sources = (
            [None] if one is None else [c.config for c in named(one, SourceShared, f"{where}: 'source'", data_dir)]
        )
        for source in sources:
            yield from plain({**value, "source": source}, Statistics, where)


def with_second(edit: Config, where: str, data_dir: Path | None = None) -> Config:
    """Return ``edit`` with each second set of statistics replaced by the list of its resolved requests."""
    inner = {
        key: [with_second(one, where, data_dir) if isinstance(one, dict) else one for one in many(edit[key])]
        for key in ("after",)
        if isinstance(edit.get(key), dict | list)
    }
    if edit.get(SECOND) is not None and _takes_second(edit):
        asked = [s for one in many(edit[SECOND]) for s in statistics_asked(one, f"{where}: '{SECOND}'", data_dir)]
        return {**edit, **inner, SECOND: [as_config(one) for one in asked]}
    return {**edit, **inner}


def _takes_second(edit: Config) -> bool:
    """Return whether a method of ``edit`` reads a second set; ``named`` reports unknown names."""
    names = {name for name in many(edit.get("method")) if isinstance(name, str)}
    return any(entry.reads_second for entry in EDITS.entries() if entry.name in names)

"""Statistics as a suite asks for them: another data set as their source, and a second set beside those of a cell.

No torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from vitmem.bench.suite_checks import Config
from vitmem.bench.sweep import many, named, plain
from vitmem.entries import Edit
from vitmem.errors import InputError, shown
from vitmem.registry import DATA, EDITS
from vitmem.specs import Spec, Statistics

SECOND = "second"


class SourceCommon(Spec):
    """Another data set, and how many of its training images are drawn at random (``None``: all of them)."""

    name: str
    train: int | None = Field(default=None, gt=0)


def statistics_configs(value: Any, where: str, data_dir: Path | None = None) -> Iterator[Config]:
    """Yield the resolved requests for statistics that ``value`` is, one for every combination of its lists.

    A ``source`` is resolved like the data of a suite. Raises InputError for what is wrong with it.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a mapping such as {{held_out: true}}, got {shown(value)}")
    if value.get("source") is None:
        yield from plain(value, Statistics, where)
        return
    if value["source"] == []:
        raise InputError(f"{where}: 'source': expected a mapping or a list of them, got an empty list")
    for one in many(value["source"]):
        place = f"{where}: 'source'"
        sources = [None] if one is None else list(named(one, DATA.get, SourceCommon, "name", place, data_dir))
        for source in sources:
            yield from plain({**value, "source": source}, Statistics, where)


def with_second(edit: Config, where: str, data_dir: Path | None = None) -> Config:
    """Return ``edit`` as it is written with every second set of statistics in it resolved, in a list."""
    inner = {
        key: [with_second(one, where, data_dir) if isinstance(one, dict) else one for one in many(edit[key])]
        for key in ("after",)
        if isinstance(edit.get(key), dict | list)
    }
    if edit.get(SECOND) is not None and _takes_second(edit):
        found = [c for one in many(edit[SECOND]) for c in statistics_configs(one, f"{where}: '{SECOND}'", data_dir)]
        return {**edit, **inner, SECOND: found}
    return {**edit, **inner}


def _takes_second(edit: Config) -> bool:
    """Say whether a method that ``edit`` names keeps what a second set needs; of an unknown name ``named`` tells."""
    names = {name for name in many(edit.get("method")) if isinstance(name, str)}
    return any(entry.reads_second for entry in EDITS.entries() if entry.name in names)


def second_of(edit: Edit) -> Config | None:
    """Return the request for the second set of statistics of an edit, or of the one that it is made after."""
    *_, reading = edit.chain()
    found = getattr(reading, SECOND) if reading.reads_second else None
    return None if found is None else found.model_dump(mode="json", exclude_none=True)

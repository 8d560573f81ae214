"""The metrics of a row and their versions: a row is current when all versions are. Does not import torch."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitmem.entries import Dataset, Metric
from vitmem.errors import InputError
from vitmem.files import file_digest
from vitmem.registry import DATA, METRICS
from vitmem.specs import digest

Versions = dict[str, str]


def metrics_of(protocol: str) -> list[type[Metric]]:
    """Return the registered metrics of one kind of predictions, sorted by name."""
    return [entry for entry in METRICS.entries() if protocol in entry.protocols]


def metric_versions(protocol: str) -> Versions:
    """Return the version of each metric of one kind of predictions, by name.

    The version of a plug-in's metric ends with a digest of its file and of those that it imports from its folder, so a
    change of the code is a change of the metric even without a new version.
    """
    return {entry.name: _version(entry) for entry in metrics_of(protocol)}


def measured_with(row: Mapping[str, Any]) -> Versions:
    """Return the metric versions stored in ``row``; a row without them has the first built-in ones."""
    versions: Versions | None = row.get("metric_versions")
    if versions is not None:
        return versions
    entries = metrics_of(_kind_of(row["config"]))
    return {entry.name: "1" for entry in entries if entry.built_in()}


def predictions_kind(data: Dataset | type[Dataset]) -> str:
    """Return the kind of predictions of ``data``: the protocol of its metrics."""
    return data.measured_as or data.protocol


def _kind_of(config: Mapping[str, Any]) -> str:
    """Return the kind of predictions of a row's config; raises InputError for unknown data."""
    return predictions_kind(DATA.get(config["data"]["name"]))


class Currency:
    """Compares the metric versions of rows with the current ones, which are looked up once."""

    def __init__(self) -> None:
        self._now: dict[str, Versions] = {}

    def current(self, row: Mapping[str, Any]) -> bool:
        """Return whether the metrics of ``row`` are current; rows of unknown data count as current."""
        try:
            protocol = _kind_of(row["config"])
        except InputError:
            return True
        if protocol not in self._now:
            self._now[protocol] = metric_versions(protocol)
        return measured_with(row) == self._now[protocol]


def _version(entry: type[Metric]) -> str:
    if entry.built_in():
        return str(entry.version)
    try:
        file = inspect.getsourcefile(entry.defined_by())
    except TypeError:  # a callable object, which has no source file
        file = None
    return f"{entry.version}-{_code(Path(file))[:12]}" if file and Path(file).is_file() else str(entry.version)


def _code(file: Path) -> str:
    """Return the digest of ``file``, or of all files that it imports from its folder too, 64 hexadecimal digits."""
    found, waiting = {}, [file]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = file_digest(path)
            waiting += [beside for name in _imported(path) if (beside := file.parent / f"{name}.py").is_file()]
    if len(found) == 1:
        return found[file]
    return digest([found.pop(file), *(found[path] for path in sorted(found))])


def _imported(file: Path) -> Iterator[str]:
    """Yield each part of the names that the Python source ``file`` imports; none of one that is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from node.module.split(".")
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (part for name in node.names for part in name.name.split("."))

"""``vitmem list`` and ``vitmem show``. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

import vitmem.catalogue  # noqa: F401  fills the registries with the built-in entries
from vitmem.bench.plugins import load_plugins
from vitmem.errors import InputError, unknown
from vitmem.registry import REGISTRIES
from vitmem.reports.folders import suite_folders
from vitmem.rows import read_rows


def list_entries(kind: str, plugins: Sequence[str], as_json: bool) -> None:
    """Print the entries of one kind, a line each: name, parameters with defaults, summary."""
    if kind not in REGISTRIES:
        raise unknown("kind", kind, REGISTRIES)
    load_plugins(plugins)
    entries = REGISTRIES[kind].entries()
    width = max(14, *(len(entry.name) for entry in entries))
    for entry in entries:
        params = {
            name: "required" if field.is_required() else field.default
            for name, field in entry.params.model_fields.items()
        }
        if as_json:
            print(json.dumps({"name": entry.name, "version": entry.version, "params": params, "about": entry.summary}))
            continue
        shown = ", ".join(f"{k}={v}" for k, v in params.items())
        name = f"{entry.name}/<name>" if entry.info.get("family") else entry.name
        print(f"{name:<{width}} {entry.summary}" + (f"  ({shown})" if shown else ""))


def show_row(id: str, results: Path, as_json: bool) -> None:
    """Print the one row whose id begins with ``id``; raises InputError when none or several do."""
    rows = [row for folder in suite_folders(results) for row in read_rows(folder / "rows.jsonl")]
    found = [row for row in rows if row["id"].startswith(id)]
    if len(found) != 1:
        what = "no row" if not found else f"{len(found)} rows"
        raise InputError(f"{what} in {results} with an id that begins with '{id}'; ids are in rows.jsonl")
    print(json.dumps(found[0]) if as_json else yaml.safe_dump(found[0], sort_keys=False), end="\n" if as_json else "")

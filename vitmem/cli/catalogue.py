"""``vitmem list``, ``vitmem show`` and ``vitmem schema``. Loads no torch."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vitmem.bench.current import RowIds
from vitmem.bench.plugins import load_plugins
from vitmem.cli.options import Json, Plugin, Results
from vitmem.entries import Edit, Entry
from vitmem.errors import InputError, unknown
from vitmem.registry import REGISTRIES
from vitmem.reports.escape import one_line_of
from vitmem.reports.files import suite_folders
from vitmem.row_schema import row_schema
from vitmem.rows import read_rows

WIDTH = 100  # characters per line
# Where to look next after the list of a kind.
NEXT = {
    "models": "a suite names one as 'model: {name: ...}'; vitmem check model NAME says what can be edited in it",
    "data": "a suite names one as 'data: {name: ...}'; vitmem noise symmetric --rate 0.1 --data NAME reads it",
    "noises": "a suite names one as 'noise: {name: ...}'; vitmem noise NAME shows its labels",
    "methods": "a suite names one as 'edits: [{method: ...}]'; vitmem check method NAME tries it",
    "tables": "vitmem tables --print NAME prints one",
    "figures": "vitmem figures draws all of them",
}


def list_entries(
    kind: Annotated[str, typer.Argument(help="models, data, noises, methods, metrics, protocols, tables or figures")],
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """List the entries of one kind for use in a suite, one per line, name first.

    Example: vitmem list methods
    """
    if kind not in REGISTRIES:
        raise unknown("kind", kind, REGISTRIES)
    load_plugins(plugin or ())
    entries = REGISTRIES[kind].entries()
    width = max(14, *(len(entry.name) for entry in entries))
    for entry in entries:
        params = {
            name: "required" if field.is_required() else field.default for name, field in entry.model_fields.items()
        }
        facts = {"name": entry.name, "version": entry.version, "params": params, "about": entry.summary}
        if as_json:
            print(json.dumps({**facts, **_of_edit(entry)}))
            continue
        name = f"{entry.name}/<name>" if entry.family else entry.name
        words = ", ".join(word for word in _of_edit(entry).values() if word)
        shown = ", ".join(f"{k}={v}" for k, v in params.items())
        rest = [f"[{words}]" if words else "", f"({shown})" if shown else ""]
        print("  ".join([f"{name:<{width}} {entry.summary}", *filter(None, rest)]))
    if not as_json:  # an entry a line on stdout, for programs
        print(NEXT.get(kind, "what each is: the reference of the documentation ('make docs')"), file=sys.stderr)


def _of_edit(entry: type[Entry]) -> dict[str, str | None]:
    """Return an edit's role and its class of information, ``None`` if that depends on the inner edit."""
    return {"role": entry.role, "information": entry.uses} if issubclass(entry, Edit) else {}


def show(
    id: Annotated[str, typer.Argument(help="the id of a row, or its first digits")],
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Show one row: config, metrics, costs and environment.

    Example: vitmem show 3f2a
    """
    belongs = RowIds().belongs
    rows = [row for folder in suite_folders(results) for row in read_rows(folder / "rows.jsonl", belongs)]
    found = [row for row in rows if row["id"].startswith(id)]
    if len(found) != 1:
        what = "no row" if not found else f"{len(found)} rows"
        raise InputError(f"{what} in {results} with an id that starts with '{id}'; ids are in rows.jsonl")
    print(json.dumps(found[0]) if as_json else readable_row(found[0]))
    if not as_json:
        print(f"\nall digits: vitmem show {id} --json")
        print(f"beside the others: vitmem tables --print chosen --suite {found[0]['suite']}")


def schema() -> None:
    """Print the JSON Schema of a row, for programs that read rows.jsonl.

    Example: vitmem schema > row.schema.json
    """
    print(json.dumps(row_schema(), indent=1, ensure_ascii=False))


def readable_row(row: Mapping[str, Any]) -> str:
    """Return ``row`` as text in sections, numbers rounded to four digits, without packed outcomes."""
    head = {key: value for key, value in row.items() if not isinstance(value, dict | list)}
    lines = [" ".join(f"{key} {value}" for key, value in sorted(head.items(), key=lambda item: _place(item[0])))]
    for name in sorted((key for key in row if key not in head), key=_place):
        value = row[name]
        if name == "environments":  # only stages with another environment than the row
            value = {stage: where for stage, where in value.items() if where != row.get("environment")}
        if name == "outcomes":
            counts = {key: f"{text.partition(':')[0]} items" for key, text in value.items()}
            lines += ["", "outcomes (per item; --json prints them)", *_lines(counts, 1)]
        elif value:
            lines += ["", name, *_lines(value, 1)]
    return "\n".join(lines)


# The sections of a row in the order of display; other sections follow by name.
SECTIONS = ("id", "suite", "status", "reason", "config", "metrics", "selection", "edit", "counts", "noise", "costs")


def _place(name: str) -> tuple[int, str]:
    return SECTIONS.index(name) if name in SECTIONS else len(SECTIONS), name


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Yield the indented lines of a mapping or a list; scalar values share lines."""
    indent = "  " * depth
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    plain = {key: one for key, one in inner.items() if not isinstance(one, dict | list)}
    if plain:
        pairs = ", ".join(f"{key}\xa0{_text(one)}" for key, one in plain.items())  # no break inside a pair
        lines = textwrap.wrap(pairs, WIDTH, initial_indent=indent, subsequent_indent=indent)
        yield from (line.replace("\xa0", " ") for line in lines)
    for key, one in inner.items():
        if key not in plain:
            text = one_line_of(_text(one), 10 * WIDTH)
            if len(indent) + len(f"{key}: {text}") <= WIDTH:
                yield f"{indent}{key}: {text}"
            else:
                yield f"{indent}{key}"
                yield from _lines(one, depth + 1)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list) else one_line_of(str(value), 2 * WIDTH)

"""Pages of the keys of a suite, of each kind of entry and of the command line, from the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import typer
from meanings import documentation, keys_of, nested
from pydantic import BaseModel

from vitmem.bench import cells
from vitmem.bench.suite import Suite
from vitmem.cli.main import VERBS, app
from vitmem.entries import Dataset, Edit, Entry, Figure, Metric, Model, Table
from vitmem.recipe import Recipe
from vitmem.registry import REGISTRIES
from vitmem.reports.meanings import meaning
from vitmem.specs import Statistics

LEADS = {
    "models": "Networks, as `model: {name: ...}` of a suite names them.",
    "data": "Data sets, as `data: {name: ...}` of a suite names them.",
    "noises": "Noise models, as `noise: {name: ...}` of a suite names them.",
    "methods": "Edits, as `edits: [{method: ...}]` of a suite names them. Each takes `blocks` and `layers` too, see "
    "[the keys of an edit](suite.md#edit).",
    "metrics": "Metrics are computed for every row of their kind of predictions; they are not named in a suite.",
    "protocols": "How one kind of data is prepared, trained on, read, predicted and measured. Data sets name theirs.",
    "tables": "Tables of `vitmem tables`. A suite has those that it has rows for.",
    "figures": "Figures of `vitmem figures`. A suite has those that it has rows for.",
}
SUITE = (
    ("Suite", Suite),
    ("Data", cells.DataShared),
    ("Noise", cells.NoiseShared),
    ("Model", cells.ModelShared),
    ("Recipe", Recipe),
    *((one.__name__, one) for one in nested(Recipe)),
    ("Statistics", Statistics),
    ("Source", cells.SourceShared),
    ("Edit", cells.EditShared),
    ("After", cells.InnerShared),
)


def prose(text: str) -> str:
    """Return the text of a docstring as markdown."""
    parts = re.split(r"(``.+?``)", text, flags=re.DOTALL)
    return "".join(
        f"`{part[2:-2]}`" if part.startswith("``") else re.sub(r"([\\*_<>\[\]$|{}])", r"\\\1", part) for part in parts
    )


def cell(text: str) -> str:
    """Return one cell of a markdown table."""
    return re.sub(r"(?<!\\)\|", r"\|", " ".join(text.split()))


def rows(header: tuple[str, ...], found: list[tuple[str, ...]]) -> list[str]:
    """Return a markdown table."""
    lines = [header, tuple("---" for _ in header), *found]
    return ["", *(f"| {' | '.join(map(cell, line))} |" for line in lines), ""]


def keys(spec: type[BaseModel]) -> list[str]:
    """Return the table of the keys of a mapping."""
    found = [(f"`{k.name}`", k.kind, k.default or "**required**", prose(k.meaning)) for k in keys_of(spec)]
    return rows(("key", "value", "default", "meaning"), found) if found else ["", "No parameters.", ""]


def suite() -> str:
    """Return the page of the keys of a suite."""
    lines = [
        "# The keys of a suite",
        "",
        "A list where one value is expected is a sweep. See [](../howto/matrix.md).",
        "A key whose default is *left out* has no value where it is not given.",
    ]
    for title, spec in SUITE:
        lines += ["", f"## {title}", "", prose(documentation(spec)), *keys(spec)]
    return "\n".join(lines)


def facts(entry: type[Entry]) -> Iterator[str]:
    """Yield what is said of an entry beside its parameters."""
    if issubclass(entry, Edit):
        yield entry.role
        yield entry.uses or "uses what the inner edit does"
        yield f"in tables: {entry.title or entry.name}"
    if issubclass(entry, Model | Metric):
        yield f"for {', '.join(entry.protocols)}"
    if issubclass(entry, Dataset):
        yield f"protocol {entry.protocol}"
        if entry.downloads:
            yield "downloaded where `--data-dir` has none"
        if entry.views:
            yield f"views: {', '.join(f'`{view}`' for view in entry.views)}"
    if entry.exactly_one:
        yield f"exactly one of {', '.join(f'`{name}`' for name in entry.exactly_one)}"
    yield f"version {entry.version}"


def entries(kind: str) -> str:
    """Return the page of the entries of one kind."""
    lines = [f"# {kind.capitalize()}", "", LEADS[kind], f"`vitmem list {kind}` prints them, plug-ins among them."]
    for entry in REGISTRIES[kind].entries():
        if not entry.built_in():
            continue
        heading = f"{entry.name}/..." if entry.family else entry.name
        lines += ["", f"## {heading}", "", prose(f"{entry.summary}."), ""]
        lines += [f"*{' · '.join(facts(entry))}*"] if kind not in ("tables", "figures") else []
        if issubclass(entry, Table):
            columns = [(c.title, f"`{c.key}`", c.kind, prose(meaning(c))) for c in entry.columns]
            lines += [*rows(("column", "in CSV", "kind", "meaning"), columns)] if columns else []
            lines += [f"[Rules and definitions](glossary.md#{entry.name})"]
        elif issubclass(entry, Figure):
            lines += [prose(entry.caption)]
        elif issubclass(entry, Metric):
            lines += [prose(documentation(entry))]
        elif kind != "protocols":
            body = documentation(entry).partition("\n\n")
            lines += ["", prose(body[2] if entry.function is None else documentation(entry)), *keys(entry)]
            if entry.example:
                lines += [f"Example: `{json.dumps(dict(entry.example))}`".replace('"', "")]
    return "\n".join(lines)


def command_line() -> str:
    """Return the page of the verbs and their options."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("vitmem", ["plan"], resilient_parsing=True)
    lines = ["# Command line", "", "`vitmem VERB --help` prints the same. Bad input ends with one sentence and code 2, "
             "what failed with 1, an interruption with 130."]  # fmt: skip
    for name in VERBS:
        command = group.resolve_command(context, [name])[1]
        arguments = [p for p in command.params if type(p).__name__ == "TyperArgument"]
        usage = " ".join(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments)
        text, *shown = (command.help or "").split("Example:")
        lines += ["", f"## vitmem {name}", "", f"`vitmem {name} {usage}`".replace(" `", "`"), "", prose(text.strip())]
        lines += ["", "```console", *(f"$ {one.strip()}" for one in shown), "```"]
        found = []
        for parameter in command.params:
            if parameter.name == "help":
                continue
            argument = parameter in arguments
            names = parameter.name.upper() if argument else ", ".join([*parameter.opts, *parameter.secondary_opts])
            plain = parameter.default not in (None, False, (), []) and not callable(parameter.default)
            default = "**required**" if parameter.required else f"`{parameter.default}`" if plain else ""
            found.append((f"`{names}`", prose(getattr(parameter, "help", "") or ""), default))
        lines += rows(("option", "meaning", "default"), found) if found else []
    return "\n".join(lines)

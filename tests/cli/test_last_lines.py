"""Every verb's help has its most used options first, and its last line says where to look next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from vitmem.cli.main import VERBS, app

SUITE = {
    "name": "small",
    "seeds": [0],
    "data": {"name": "digits", "train": 120, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "residual_mlp", "width": 16, "hidden": 32},
    "recipe": {"epochs": 2, "batch_size": 60, "warmup_epochs": 0, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "all", "fraction": [0.1, 0.4]}],
}
# In this order: what a verb needs was made by those before it.
LAST = {
    "plan small.yaml": "vitmem run small.yaml makes what is missing",
    "status small.yaml": "vitmem work small.yaml takes a part of it; vitmem run small.yaml makes all .*",
    "work small.yaml --device cpu": "vitmem status small.yaml shows what is left; vitmem run small.yaml collects .*",
    "run small.yaml --device cpu": r"\d+ tables in .*: results/glossary.md; a page with figures: vitmem report small",
    "submit small.yaml": "small: every cell has a row; nothing is submitted. vitmem run small.yaml writes the tables",
    "tables": "what their columns mean: results/glossary.md; a page with figures: vitmem report",
    "tables --print verdict": "all columns: results/small/tables/verdict.md; what they mean: results/glossary.md",
    "figures": "a page with them and the tables: vitmem report",
    "report small": "open it in a browser",
    "site --results results": r"wrote \d+ pages in .*; open .*index.html",
    "analyse small.yaml --only spectrum --device cpu": "tables and figures of them: .*; vitmem report small",
    "list methods": "a suite names one as 'edits: .*'; vitmem check method NAME tries it",
    "check noise symmetric --param rate=0.1": "a suite names it as 'noise: {name: symmetric}'; vitmem run SUITE .*",
    "noise symmetric --data digits --rate 0.1": "a suite names it as 'noise: {name: symmetric, rate: 0.1}'",
}
# With the rows elsewhere: the command on the last line names their folder.
RENAMED = "my results"
LAST_THERE = {
    "tables": "what their columns mean: .*; a page with figures: vitmem report --results 'my results'",
    "tables --suite small": "what their columns mean: .*: vitmem report small --results 'my results'",
    "figures": "a page with them and the tables: vitmem report --results 'my results'",
    "analyse small.yaml --only spectrum --device cpu": ".*: vitmem tables --results 'my results'; "
    "vitmem figures --results 'my results'; vitmem report small --results 'my results'",
}
# What they print needs a language model, or is JSON.
ELSEWHERE = {"mine", "fit", "edit", "lm-eval", "show", "schema"}


def options_of(verb: str) -> list[set[str]]:
    """Return the names of each option in the order of the help."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("vitmem", ["plan"], resilient_parsing=True)
    command = group.resolve_command(context, [verb])[1]
    return [
        {*p.opts, *p.secondary_opts}
        for p in command.params
        if type(p).__name__ == "TyperOption" and p.name != "help" and not getattr(p, "rich_help_panel", None)
    ]


def examples(verb: str) -> Iterator[list[str]]:
    group: Any = typer.main.get_command(app)
    context = group.make_context("vitmem", ["plan"], resilient_parsing=True)
    text = " ".join((group.resolve_command(context, [verb])[1].help or "").split())
    for one in text.split("Example: ")[1:]:
        yield [word for word in shlex.split(one) if re.fullmatch("-{1,2}[a-zA-Z][a-z-]*", word)]


@pytest.mark.parametrize("verb", VERBS)
def test_the_options_of_the_examples_come_first(verb: str) -> None:
    used = {word for words in examples(verb) for word in words}
    shown = [bool(names & used) for names in options_of(verb)]
    assert shown == sorted(shown, reverse=True), [sorted(names) for names in options_of(verb)]


def test_the_last_line_says_where_to_look_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {line.split()[0] for line in LAST} | ELSEWHERE == set(VERBS)
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(SUITE))
    for command, last in LAST.items():
        ends_with(last, shlex.split(command))
    Path("results").rename(RENAMED)
    for command, last in LAST_THERE.items():
        ends_with(last, [*shlex.split(command), "--results", RENAMED])


def ends_with(last: str, command: list[str]) -> None:
    out = CliRunner().invoke(app, command, catch_exceptions=False)
    assert out.exit_code == 0, (command, out.output)
    assert re.fullmatch(last, out.output.rstrip().splitlines()[-1]), (command, out.output[-500:])

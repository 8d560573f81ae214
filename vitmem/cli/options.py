"""Options shared by commands, and ``key=value`` parameters with YAML values as in a suite."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vitmem.errors import InputError, shown
from vitmem.parsing import parse_yaml
from vitmem.shipped import find_suite, shipped
from vitmem.trainer import TrainerOptions, from_command_line

Plugin = Annotated[list[str] | None, typer.Option(help="a module or .py file to import first; may be repeated")]
SuiteFile = Annotated[
    Path, typer.Argument(help="the suite: a YAML file, or the name of a shipped one such as demo", callback=find_suite)
]
Results = Annotated[Path, typer.Option(help="the folder of rows and tables")]
Store = Annotated[Path, typer.Option(help="the folder of trainings, statistics and predictions")]
CacheDir = Annotated[Path, typer.Option(help="the folder of decoded images")]
DataDir = Annotated[Path | None, typer.Option(help="the folder of the data, instead of a download")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<n>")]
Trainer = Annotated[
    list[str] | None,
    typer.Option(
        "-T", help="an option of Lightning's trainer that changes no result, such as devices=4; may be repeated"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def suite_word(file: Path) -> str:
    """Return the word for the suite in ``file`` on a command line: the name of a shipped one, or the path."""
    return file.stem if file.parent == shipped("suites") else str(file)


def follow_up(verb: str, suite: str | None = None, **folders: Path) -> str:
    """Return the command of ``verb`` for ``suite``, or for all, that reads the ``folders`` this command was given.

    A folder that is its option's default, such as ``results`` for ``--results``, is left out.
    """
    given = [part for name, path in folders.items() if str(path) != name for part in (f"--{name}", str(path))]
    return shlex.join(["vitmem", verb, *([suite] if suite else []), *given])


def key_values(texts: Sequence[str], option: str) -> dict[str, Any]:
    """Return key -> value of ``texts``, each ``key=value``.

    Raises InputError, prefixed with ``option``, for other texts and for a repeated key.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise InputError(f"{option}: expected key=value, got {shown(text)}")
        if key in found:
            raise InputError(f"{option}: {shown(key)} comes twice; give it once")
        found[key] = yaml_value(value, option)
    return found


def trainer_options(texts: Sequence[str] | None) -> TrainerOptions:
    """Return the options of the trainer that ``texts``, each ``key=value``, say; raises InputError for others."""
    return from_command_line(key_values(texts or (), "-T"), "-T")


def yaml_value(text: str, option: str) -> Any:
    """Return ``text`` as YAML; raises InputError, prefixed with ``option``, for empty or invalid YAML."""
    if not text.strip():
        raise InputError(f"{option}: expected a value such as 0.1 or [3, 5], got nothing")
    try:
        return parse_yaml(text, option)
    except InputError as error:
        raise InputError(f"{option}: expected a value such as 0.1 or [3, 5], got {shown(text)} ({error})") from None

"""What the verbs share: options, and how what a verb does is imported when it is called: ``--help`` stays light."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from vitmem.errors import InputError, VitmemError, raised_at, reason
from vitmem.files import expand
from vitmem.shipped import find_suite

INTERRUPTED = 130

Plugin = Annotated[list[str] | None, typer.Option(help="a module or .py file to import first; may be repeated")]
SuiteFile = Annotated[
    Path, typer.Argument(help="the suite: a YAML file, or the name of a shipped one such as demo", callback=find_suite)
]
Results = Annotated[Path, typer.Option(help="the folder of rows and tables")]
Store = Annotated[Path, typer.Option(help="the folder of trainings, statistics and predictions")]
CacheDir = Annotated[Path, typer.Option(help="the folder of decoded images")]
DataDir = Annotated[Path | None, typer.Option(help="a folder with the data, instead of a download")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<n>")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for a program")]


def call(place: str, **options: Any) -> None:
    """Import ``module:function`` and call it, with ``plugins`` for the option ``plugin``.

    A leading ``~`` of an option is the home folder, whether a shell has seen it or not. Raises VitmemError when a
    plug-in calls ``sys.exit``: a run ends with an error or with all that was asked for.
    """
    options = {name: _expanded(name, value) for name, value in options.items()}
    if "plugin" in options:
        options["plugins"] = options.pop("plugin") or []
    module, _, name = place.partition(":")
    try:
        getattr(importlib.import_module(module), name)(**options)
    except SystemExit as error:
        if error.code == INTERRUPTED:
            raise
        at = raised_at(error)
        raise VitmemError(f"a plug-in ended the run: {reason(error)}{at and f' ({at})'}") from error


def _expanded(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(name, one) for one in value]
    if not isinstance(value, Path | str) or not str(value).startswith("~"):
        return value
    try:
        return type(value)(expand(value)) if isinstance(value, str) else expand(value)
    except InputError as error:
        raise InputError(f"{name.replace('_', '-')}: {error}") from None

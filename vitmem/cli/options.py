"""The options that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitmem.shipped import find_suite

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

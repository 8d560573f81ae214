"""What the verbs share: an option, and how what a verb does is imported when it is called: ``--help`` stays light."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

Plugin = Annotated[list[str] | None, typer.Option(help="a module or .py file to import first; may be repeated")]


def call(place: str, **options: Any) -> None:
    """Import ``module:function`` and call it, with ``plugins`` for the option ``plugin``."""
    if "plugin" in options:
        options["plugins"] = options.pop("plugin") or []
    module, _, name = place.partition(":")
    getattr(importlib.import_module(module), name)(**options)

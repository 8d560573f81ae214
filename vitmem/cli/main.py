"""The commands, each imported only for its call or its own help."""

from __future__ import annotations

import importlib
import logging
import sys
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import vitmem
from vitmem.cli.exits import exit_code, guarded, log_to_stderr

SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
# name: (module and function, start of the first sentence of its docstring)
VERBS = {
    "plan": ("plan:plan", "Show the cells of a suite, finished and missing"),
    "run": ("run:run", "Run all cells of a suite without a row, then write the tables"),
    "work": ("work:work", "Work on a suite together with other workers on the same store"),
    "submit": ("submit:submit", "Submit workers of a suite to SLURM"),
    "status": ("status:status", "Show the progress of a suite: finished, running, failed and missing cells"),
    "tables": ("tables:tables", "Write the tables of all suites from their rows"),
    "figures": ("tables:figures", "Draw the figures of all suites from their rows"),
    "report": ("report:report", "Write a self-contained HTML page for each suite"),
    "site": ("site:site", "Write all results as static pages that open from disk"),
    "list": ("catalogue:list_entries", "List the entries of one kind for use in a suite"),
    "show": ("catalogue:show", "Show one row: config, metrics, costs and environment"),
    "schema": ("catalogue:schema", "Print the JSON Schema of a row"),
    "check": ("check:check", "Run the contract tests of a plug-in"),
    "noise": ("noise:noise", "Show the labels of a noise model"),
    "mine": ("mine:mine", "Find memorized windows of texts in a language model"),
    "fit": ("fit:fit", "Collect the statistics of a language model on your own texts"),
    "edit": ("edit:edit", "Edit the files of a language model or an image classifier, or undo an edit"),
    "lm-eval": ("harness:lm_eval", "Evaluate a language model on tasks of lm-evaluation-harness"),
    "analyse": ("analyse:analyse", "Analyse the trained networks of a suite"),
}


class Verbs(TyperGroup):
    """The group of all commands, with names and first sentences only until a call."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name and command of the first of ``args``, imported now, and the other ``args``."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _command(name), rest


def _command(name: str) -> Any:
    module, _, function = VERBS[name][0].partition(":")
    alone = typer.Typer(**SETTINGS)
    alone.command(name)(guarded(getattr(importlib.import_module(f"vitmem.cli.{module}"), function)))
    return typer.main.get_command(alone)


app = typer.Typer(cls=Verbs, no_args_is_help=True, **SETTINGS)
for _name, (_, _help) in VERBS.items():
    app.command(_name, help=_help)(lambda: None)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vitmem {vitmem.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="print the traceback of an error")] = False,
) -> None:
    """Measure and edit memorization in vision transformers."""
    log_to_stderr(logging.DEBUG if debug else logging.INFO)


def main() -> None:
    """Run the command line; exit codes: 2 for an error of the user, 1 for a failure, 130 for an interruption."""
    sys.exit(exit_code(partial(app, standalone_mode=False)))


if __name__ == "__main__":
    main()

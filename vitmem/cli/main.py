"""The names of the verbs. The module of one is imported when it is called, or when its own help is asked for."""

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
# name: (module and function, how the first sentence of its docstring begins)
VERBS = {
    "plan": ("plan:plan", "Show what a suite would run and what has rows already"),
    "run": ("run:run", "Run a suite: every cell without a row gets one, then the tables are written"),
    "work": ("work:work", "Work on a suite beside other workers that see the same store"),
    "submit": ("submit:submit", "Submit workers of a suite to SLURM and go"),
    "status": ("status:status", "Show how far a suite is: done, running where, failed and why, still to do"),
    "tables": ("tables:tables", "Write the tables of all suites from their rows"),
    "figures": ("tables:figures", "Draw the figures of all suites from their rows"),
    "report": ("report:report", "Write a page of each suite that opens from disk"),
    "list": ("catalogue:list_entries", "List what can be named in a suite"),
    "show": ("catalogue:show", "Show one row: its config, its metrics, what it cost and where it ran"),
    "schema": ("catalogue:schema", "Print the JSON Schema of a row"),
    "check": ("check:check", "Run the contract that a plug-in has to keep"),
    "noise": ("noise:noise", "Show the labels that a noise model gives"),
    "mine": ("mine:mine", "Find the windows of texts that a language model recites"),
    "fit": ("fit:fit", "Collect the statistics of a language model on texts of your own"),
    "edit": ("edit:edit", "Edit the files of a language model or an image classifier, or take an edit back"),
    "lm-eval": ("harness:lm_eval", "Ask a language model tasks of lm-evaluation-harness"),
    "analyse": ("analyse:analyse", "Look inside the trained networks of a suite"),
}


class Verbs(TyperGroup):
    """The verbs by name and first sentence, until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the verb that ``args`` begin with, its options and what it does, and the other ``args``."""
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
    debug: Annotated[bool, typer.Option("--debug", help="print the traceback of an error too")] = False,
) -> None:
    """What has a vision transformer memorized, and what is left when it is edited out?"""
    log_to_stderr(logging.DEBUG if debug else logging.INFO)


def main() -> None:
    """Run the command line: 2 is what the user can mend, 1 what failed, 130 an interruption."""
    sys.exit(exit_code(partial(app, standalone_mode=False)))


if __name__ == "__main__":
    main()

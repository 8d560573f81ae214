"""Errors that a person reads: one sentence saying where, what was expected, what came and what to try."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VitmemError(Exception):
    """Something failed while running; the command line exits with code 1."""

    exit_code = 1


class InputError(VitmemError):
    """Something the user can mend (a name, a value, a file); the command line exits with code 2."""

    exit_code = 2


class DiskFullError(VitmemError):
    """The disk is full: whatever is tried next would fail too, so a run stops."""


def one_line(error: Exception, most: int = 300) -> str:
    """Return the text of ``error`` on one line, ``most`` characters of it at most; its type's name if it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def reason(error: Exception) -> str:
    """Return one sentence for ``error``; ours read alone, others carry their type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, VitmemError) else f"{type(error).__name__}: {text}"


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for ``name``, which is not one of ``known``, offering the nearest name."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
    return InputError(f"unknown {kind} '{name}'; {hint}")

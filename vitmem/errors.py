"""Errors for the user: one sentence with location, expected value, actual value and a suggestion."""

from __future__ import annotations

import difflib
import reprlib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

# Maximum length of an error, and of a value that it quotes.
LONGEST, LONGEST_VALUE = 400, 100
# Truncated repr of values: takes constant time and memory for a list of a million items.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 3, 6, 60, 60


class VitmemError(Exception):
    """A failure at run time; the command line exits with code 1."""

    exit_code = 1


class InputError(VitmemError):
    """An error that the user can fix (a name, a value, a file); the command line exits with code 2.

    The text is one line of at most ``LONGEST`` characters; longer text from files or names is cut.
    """

    exit_code = 2

    def __init__(self, text: str) -> None:
        line = text if text.isprintable() else " ".join("".join(c if c.isprintable() else " " for c in text).split())
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 130]} ... {line[-120:]}")


class DiskFullError(VitmemError):
    """The disk is full: every further attempt would fail too, so a run stops."""


def shown(value: object, most: int = LONGEST_VALUE) -> str:
    """Return ``value`` as quoted in an error: on one line, at most ``most`` characters."""
    text = _SHORT.repr(value)
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def one_line(error: Exception, most: int = 300) -> str:
    """Return the text of ``error`` on one line of at most ``most`` characters, or its type's name if empty."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def reason(error: BaseException) -> str:
    """Return one sentence for ``error``, with the type unless it is a VitmemError."""
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({shown(error.code)}) where it should raise an error"
    return text if isinstance(error, VitmemError) else f"{type(error).__name__}: {text}"


def raised_at(error: BaseException) -> str:
    """Return ``file.py:12``, the last line of user code in the traceback of ``error``, or an empty text.

    Code of this package, of Python and of installed packages is not user code.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    others = (str(Path(__file__).parent), sys.prefix, sys.base_prefix, "<")
    own = [(file, line) for file, line in places if not file.startswith(others)]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}" if own else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for ``name``, which is not one of ``known``, suggesting the nearest name."""
    return InputError(f"unknown {kind} {shown(name)}; {nearest(name, sorted(known))}")


def near_names(name: str, known: Iterable[str], count: int = 1, alike: float = 0.5) -> list[str]:
    """Return at most ``count`` of ``known`` similar to ``name``, the nearest first; ``alike`` is from 0 to 1."""
    return difflib.get_close_matches(name[:80], list(known), n=count, cutoff=alike)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion in place of ``name``: the nearest of ``known``, or the first ones in their order."""
    names = list(known)
    if near := near_names(name, names):
        return f"did you mean '{near[0]}'?"
    listed = ", ".join(names[:20]) or "none"
    return f"known: {listed[:200]}{' ...' if len(names) > 20 or len(listed) > 200 else ''}"

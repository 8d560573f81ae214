"""The end of a command: an exit code and at most one sentence for any error."""

from __future__ import annotations

import errno
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import typer

from vitmem.errors import InputError, VitmemError, one_line, raised_at, reason
from vitmem.files import expand, short_name
from vitmem.progress import JobFormatter

INTERRUPTED = 130

log = logging.getLogger(__name__)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current ``sys.stderr``, which may change between records."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


_stderr = _Stderr()
_stderr.setFormatter(JobFormatter())


def log_to_stderr(level: int) -> None:
    """Write the package's log records from ``level`` on to stderr; ``DEBUG`` includes tracebacks of errors."""
    logger = logging.getLogger("vitmem")
    logger.addHandler(_stderr)
    logger.setLevel(level)


def guarded(verb: Callable[..., None]) -> Callable[..., None]:
    """Return ``verb`` with a leading ``~`` in its options expanded to the home folder, with or without a shell.

    It raises VitmemError if a plug-in calls ``sys.exit``, so that no incomplete run ends as a success.
    """

    @functools.wraps(verb)
    def called(**options: Any) -> None:
        options = {name: _expanded(name, value) for name, value in options.items()}
        try:
            verb(**options)
        except SystemExit as error:
            if error.code == INTERRUPTED:
                raise
            at = raised_at(error)
            raise VitmemError(f"a plug-in ended the run: {reason(error)}{at and f' ({at})'}") from error

    return called


def _expanded(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(name, one) for one in value]
    if not isinstance(value, Path | str) or not str(value).startswith("~"):
        return value
    try:
        return type(value)(expand(value)) if isinstance(value, str) else expand(value)
    except InputError as error:
        raise InputError(f"{name.replace('_', '-')}: {error}") from None


def exit_code(command: Callable[[], int | None]) -> int:
    """Call ``command`` and return the exit code of this process; an error is printed as one sentence."""
    try:
        code = command() or 0
        sys.stdout.flush()
    except typer.Exit as error:
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except VitmemError as error:
        log.debug(traceback.format_exc().rstrip())
        return _fail(str(error), error.exit_code)
    except OSError as error:
        return _failed_output(error)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _usage(error)  # typer's error for an unknown or invalid option or argument
    return code


def _usage(error: Any) -> int:
    """Print a usage error of the command line, or the help if no command is given."""
    text, context = error.format_message(), getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(text, end="")
        return 0
    of = context.command_path if context is not None else "vitmem"
    return _fail(f"{' '.join(text.split()).rstrip('.')[:300]}; see '{of} -h'", 2)


def _failed_output(error: OSError) -> int:
    """Return the exit code for a closed output or a failed write, without a traceback."""
    if error.errno == errno.ENAMETOOLONG and isinstance(error.filename, str):
        return _fail(f"{short_name(error.filename)}: the name of this file is too long; give a shorter one", 2)
    if error.filename is not None:
        return _fail(one_line(error), 1)
    _drop_output()
    if error.errno == errno.EPIPE:
        return 1
    return _fail(f"the output, or a file, cannot be written: {one_line(error)}", 1)


def _drop_output() -> None:
    """Redirect stdout to the null device, since flushing the buffer would fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int) -> int:
    print(f"vitmem: {text}", file=sys.stderr)
    return code

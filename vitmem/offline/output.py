"""Output folders and files that get their names once complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitmem.bench.store import lock, translate_disk_errors
from vitmem.errors import InputError
from vitmem.files import flush


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder ``<out>.partial``, which is renamed to ``out`` at the end and removed after an error.

    The remains of a killed run are removed first. Raises InputError when ``out`` exists and is not an empty folder, or
    when another run is writing it, DiskFullError when the disk is full.
    """
    check_new(out)
    partial = _partial(out)
    held = partial.with_name(f"{partial.name}.lock")
    busy = f"{partial}: another edit is being written there; wait for it or give another --out"
    with translate_disk_errors(out.parent), lock(held, busy=busy):
        try:
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir()
            yield partial
            os.replace(partial, out)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            held.unlink()


def check_new(out: Path) -> None:
    """Raise InputError when ``out`` exists and is not an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out: {out} exists and is not an empty folder; give another name or remove it")


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """Yield the name of a file to write, which is renamed to ``out`` at the end and removed after an error."""
    with new_files(out) as (partial,):
        yield partial


@contextmanager
def new_files(out: Path, *beside: Path) -> Iterator[tuple[Path, ...]]:
    """Yield the names of files to write, which are renamed to ``out`` and those ``beside`` it at the end, ``out`` last.

    After an error none remains. For the remains of a killed run, where ``out`` is missing, see ``unfinished``.
    """
    targets = {path: _partial(path) for path in (out, *beside)}
    done: list[Path] = []
    with translate_disk_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield tuple(targets.values())
            for partial in targets.values():
                flush(partial)
            for path in (*beside, out):
                os.replace(targets[path], path)
                done.append(path)
        except BaseException:
            for path in (*done, *targets.values()):
                path.unlink(missing_ok=True)
            raise
        flush(out.parent)


def unfinished(out: Path) -> bool:
    """Return whether a run was killed while renaming the files of ``out``: then the files beside it are its own."""
    return _partial(out).exists() and not out.exists()


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")

"""The store: a content-addressed folder a stage, written under a temporary name and renamed when whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitmem.errors import DiskFullError, InputError
from vitmem.specs import SCHEMA_VERSION

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28")


class Store:
    """Folders ``<root>/<stage>/<id>``; a folder that exists is whole."""

    def __init__(self, root: Path) -> None:
        """Open or make the store; raises InputError when another schema version wrote it."""
        self.root = root
        mark = root / "schema.json"
        if mark.exists():
            found = json.loads(mark.read_text()).get("schema")
            if found != SCHEMA_VERSION:
                raise InputError(
                    f"{root}: the store has schema {found}, this version writes {SCHEMA_VERSION}; "
                    "give another folder with --store or move the old one away"
                )
        else:
            with guard_disk(root):
                root.mkdir(parents=True, exist_ok=True)
                write_json(mark, {"schema": SCHEMA_VERSION})

    def folder(self, stage: str, id: str) -> Path:
        """Return where the finished stage ``id`` lies or will lie."""
        return self.root / stage / id

    def has(self, stage: str, id: str) -> bool:
        """Say whether the stage ``id`` is finished."""
        return self.folder(stage, id).is_dir()

    def make(self, stage: str, id: str, fill: Callable[[Path], None], *, keep: bool = False) -> Path:
        """Return the folder of a finished stage; ``fill`` is called with an unfinished one if there is none.

        The folder gets its name when ``fill`` returns. With ``keep`` what a killed run left in the unfinished
        folder is there again (a training resumes from its checkpoint); without it the folder starts empty.
        Another process that makes the same stage is waited for, and its work is taken.
        """
        final = self.folder(stage, id)
        partial = final.with_name(f"{id}.partial")
        with guard_disk(self.root), lock(final.with_name(f"{id}.lock")):
            if final.is_dir():
                return final
            if not keep:
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True, exist_ok=True)
            fill(partial)
            os.replace(partial, final)
        return final


@contextmanager
def lock(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold the file lock ``path``; wait for it, or raise InputError(``busy``) when that is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise InputError(str(busy)) from None
        yield


@contextmanager
def guard_disk(root: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence: DiskFullError or InputError."""
    try:
        yield
    except Exception as error:
        # safetensors and torch.save have errors of their own, which keep only the system's words
        number = error.errno if isinstance(error, OSError) else None
        if number in FULL or any(words in str(error) for words in FULL_WORDS):
            raise DiskFullError(
                f"{root}: the disk is full; free some space and run the same command again, finished work is kept"
            ) from error
        if number in (errno.EROFS, errno.EACCES):
            raise InputError(f"{root}: cannot write here ({os.strerror(number)}); give another folder") from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON under a temporary name and rename it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, sort_keys=True, indent=1, allow_nan=False))
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the store."""
    return json.loads(path.read_text())

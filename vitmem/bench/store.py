"""The store: a content-addressed folder a stage, written under a temporary name and renamed when whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, VitmemError
from vitmem.specs import SCHEMA_VERSION

STAGES = ("training", "statistics", "evaluation")


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

    @contextmanager
    def writing(self, stage: str, id: str, *, keep: bool = False) -> Iterator[Path]:
        """Yield a folder to fill; it gets its name when the block ends without an exception.

        With ``keep`` what a killed run left in the unfinished folder is there again (a training
        resumes from its checkpoint); without it the folder starts empty.
        """
        final = self.folder(stage, id)
        partial = final.with_name(f"{id}.partial")
        with guard_disk(self.root), lock(final.with_name(f"{id}.lock")):
            if final.is_dir():  # another run finished it while this one waited
                yield final
                return
            if not keep:
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True, exist_ok=True)
            yield partial
            os.replace(partial, final)


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
    """Turn a full or read-only disk into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise VitmemError(
                f"{root}: the disk is full; free some space and run the same command again, finished work is kept"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES):
            raise InputError(f"{root}: cannot write here ({error.strerror}); give another folder") from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON under a temporary name and rename it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, sort_keys=True, indent=1, allow_nan=False))
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the store."""
    return json.loads(path.read_text())

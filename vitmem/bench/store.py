"""The store: a content-addressed folder a stage, written under a temporary name and renamed when whole.

What is read is checked against the digests that were written with it, once a process; a folder that was damaged is set
aside and made again.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from vitmem.bench.manifest import MANIFEST, fault, write_manifest
from vitmem.errors import DiskFullError, InputError
from vitmem.files import flush, read_text, write_text
from vitmem.parsing import parse_json
from vitmem.specs import SCHEMA_VERSION

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28")
# Where tracebacks lie.
FAILURES = "failures"


class Store:
    """Folders ``<root>/<stage>/<id>``, each with the digests of its files."""

    def __init__(self, root: Path) -> None:
        """Open or make the store; raises InputError when another schema version wrote it.

        A mark of the schema that cannot be read is written anew, with a warning: each folder has digests of its own.
        """
        self.root = root
        self._whole: set[Path] = set()
        mark = root / "schema.json"
        with translate_disk_errors(root):
            _make_folder(root)
            new = not mark.exists()
            found = None if new else _schema(mark)
            if found is None:
                write_json(mark, {"schema": SCHEMA_VERSION})
                if not new:
                    log.warning(f"{mark}: it was damaged and is written anew")
            elif found != SCHEMA_VERSION:
                raise InputError(
                    f"{root}: the store has schema {found}, this version writes {SCHEMA_VERSION}; "
                    "give another folder with --store or move the old one away"
                )

    def folder(self, stage: str, id: str) -> Path:
        """Return where the finished stage ``id`` lies or will lie."""
        return self.root / stage / id

    def has(self, stage: str, id: str) -> bool:
        """Say whether the stage ``id`` is finished and whole; a damaged folder is set aside, with a warning."""
        final = self.folder(stage, id)
        if not final.is_dir():
            return False
        with translate_disk_errors(self.root), lock(final.with_name(f"{id}.lock")):
            return self._sound(final, None)

    def make(
        self,
        stage: str,
        id: str,
        fill: Callable[[Path], None],
        *,
        resumed: str | None = None,
        made_from: Mapping[str, str] | None = None,
    ) -> Path:
        """Return the folder of a finished stage; ``fill`` is called with an unfinished one if there is none.

        The folder gets its digests and then its name when ``fill`` returns. One that is damaged, or was made from
        something else than ``made_from`` (digests by name; ``None``: not asked), is set aside, with a warning.
        With ``resumed``, the name of a folder in the unfinished one that goes when it is whole, what a killed run left
        is there again (a training resumes from its checkpoint); without it the folder starts empty. Another process
        that makes the same stage is waited for, and its work is taken.
        """
        final = self.folder(stage, id)
        partial = final.with_name(f"{id}.partial")
        with translate_disk_errors(self.root), lock(final.with_name(f"{id}.lock")):
            if self._sound(final, made_from):
                return final
            if resumed is None or not _usable(partial):
                _drop(partial)
            partial.mkdir(parents=True, exist_ok=True)
            if not (partial / MANIFEST).exists():
                fill(partial)
                write_manifest(partial, made_from or {})
            if resumed is not None:
                _drop(partial / resumed)
            flush(partial)
            os.replace(partial, final)
            flush(final.parent)
            self._whole.add(final)
        return final

    def failed(self, id: str, error: BaseException) -> str:
        """Keep the traceback of what failed under ``id``, and return where it lies in the store."""
        place = f"{FAILURES}/{id}.txt"
        with translate_disk_errors(self.root):
            write_text(self.root / place, "".join(traceback.format_exception(error)))
        return place

    def succeeded(self, id: str) -> None:
        """Forget a traceback of an earlier try."""
        (self.root / FAILURES / f"{id}.txt").unlink(missing_ok=True)

    def _sound(self, final: Path, made_from: Mapping[str, str] | None) -> bool:
        """Say whether there is a finished folder that is whole; another one is set aside. The lock is held."""
        if not final.is_dir():
            self._whole.discard(final)
            return False
        if final in self._whole:
            return True
        if (wrong := fault(final, made_from)) is None:
            self._whole.add(final)
            return True
        aside = (final.with_name(f"{final.name}.damaged-{n}") for n in itertools.count(1))
        aside_name = next(path for path in aside if not path.exists())
        os.replace(final, aside_name)
        log.warning(f"{final}: {wrong}; it is set aside as {aside_name.name} and made again")
        return False


def _usable(partial: Path) -> bool:
    """Say whether what a killed run left may be gone on from: it has no digests yet, or all that it has agree."""
    if not (partial / MANIFEST).exists():
        return True
    if (wrong := fault(partial)) is not None:
        log.warning(f"{partial}: {wrong}; it was left by a run that was stopped and is made anew")
    return wrong is None


def _schema(mark: Path) -> int | None:
    """Return the version in the mark of a store, ``None`` when there is none or it cannot be read."""
    try:
        found = parse_json(read_text(mark, "the mark of a store"), str(mark))
        return int(found["schema"]) if {*found} == {"schema"} else None
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{root}: expected a folder, got a file; give another folder with --store") from None


def _drop(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lock(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold the file lock ``path``; wait for it, or raise InputError(``busy``) when that is given."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            if not lock_descriptor(handle.fileno(), blocking=busy is None):
                raise InputError(str(busy))
            if not path.exists() or path.stat().st_ino != os.fstat(handle.fileno()).st_ino:
                continue  # its last holder has removed it
            yield
            return


@contextmanager
def translate_disk_errors(root: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence: DiskFullError or InputError.

    It names the folder of the file that the system names, or ``root`` where it names none.
    """
    try:
        yield
    except Exception as error:
        # safetensors and torch.save have errors of their own, which keep only the system's words
        number = error.errno if isinstance(error, OSError) else None
        named = error.filename if isinstance(error, OSError) else None
        where = Path(named).parent if isinstance(named, str) else root
        if number in FULL or any(words in str(error) for words in FULL_WORDS):
            if isinstance(error, DiskFullError):
                raise
            raise DiskFullError(
                f"{where}: the disk is full; free some space and run the same command again, finished work is kept"
            ) from error
        if number in (errno.EROFS, errno.EACCES):
            raise InputError(f"{where}: cannot write here ({os.strerror(number)}); give another folder") from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, whole or not at all."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the store; raises InputError for one that cannot be read."""
    return parse_json(read_text(path, "a file of the store"), str(path))

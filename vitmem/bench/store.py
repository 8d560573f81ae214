"""The store: one content-addressed folder per stage, written under a temporary name and renamed when complete.

Each process checks a folder against its digests before the first use; a damaged folder is moved aside and made again.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import secrets
import shutil
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from vitmem.bench.claims import Claims, is_running
from vitmem.bench.manifest import MANIFEST, fault, write_manifest
from vitmem.errors import DiskFullError, InputError, reason
from vitmem.files import flush, read_text, write_text
from vitmem.parsing import parse_json
from vitmem.specs import SCHEMA_VERSION

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28")
# The folders of tracebacks and of workers' claims.
FAILURES, CLAIMS = "failures", "claims"


class Store:
    """Folders ``<root>/<stage>/<id>``, each with the digests of its files."""

    def __init__(self, root: Path) -> None:
        """Open or create the store; raises InputError for another schema version.

        A damaged schema file is rewritten with a warning, since each folder has its own digests.
        """
        self.root = root
        self.claims = Claims(root / CLAIMS)
        self._whole: set[Path] = set()
        mark = root / "schema.json"
        with translate_disk_errors(root):
            _make_folder(root)
            new = not mark.exists()
            found = None if new else _schema(mark)
            if found is None:
                write_json(mark, {"schema": SCHEMA_VERSION})
                if not new:
                    log.warning(f"{mark}: the file was damaged and is written again")
            elif found != SCHEMA_VERSION:
                raise InputError(
                    f"{root}: the store has schema {found}, this version writes {SCHEMA_VERSION}; "
                    "give another folder with --store, or move the old one away"
                )

    def folder(self, stage: str, id: str) -> Path:
        """Return the path of the finished stage ``id``, which may not exist yet."""
        return self.root / stage / id

    def has(self, stage: str, id: str) -> bool:
        """Return whether the stage ``id`` is finished and undamaged; a damaged folder is moved aside with a warning."""
        with translate_disk_errors(self.root):
            return self._sound(self.folder(stage, id), None)

    def make(
        self,
        stage: str,
        id: str,
        fill: Callable[[Path], None],
        *,
        resumed: str | None = None,
        made_from: Mapping[str, str] | None = None,
    ) -> Path:
        """Return the folder of a finished stage; if there is none, call ``fill`` with a temporary folder first.

        After ``fill`` the folder gets its digests, then its final name. A damaged folder, or one with other digests of
        its inputs than ``made_from`` (name -> digest; ``None``: no check), is moved aside with a warning.

        ``resumed`` is the name of a checkpoint folder inside, deleted at the end. With it only one process at a time
        makes the stage, of all processes on the store: the others wait for its result, and the next one after a kill
        continues in the same temporary folder. Without it the folder starts empty, and the first of several concurrent
        processes to finish gives the result.
        """
        final = self.folder(stage, id)
        with translate_disk_errors(self.root):
            if self._sound(final, made_from):
                return final
            if resumed is None:
                _drop_left(final)
                partial = final.with_name(f"{id}.{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.partial")
                try:
                    self._fill(final, partial, fill, made_from)
                except BaseException:
                    _drop(partial)
                    raise
                return final
            while not self._sound(final, made_from):
                with self.claims.wait(f"{stage}/{id}") as claim:
                    if self._sound(final, made_from):
                        break
                    partial = final.with_name(f"{id}.{claim.number}.partial")
                    _take_over(partial, id)
                    try:
                        self._fill(final, partial, fill, made_from, resumed)
                    except Exception as error:
                        if not self.claims.was_taken(claim):
                            raise
                        # this process was suspended for so long that another one took over its folder
                        log.warning(f"{stage}/{id}: another worker took it over ({reason(error)})")
        return final

    def _fill(
        self,
        final: Path,
        partial: Path,
        fill: Callable[[Path], None],
        made_from: Mapping[str, str] | None,
        resumed: str | None = None,
    ) -> None:
        """Fill ``partial`` unless it is complete, then rename it to ``final``."""
        partial.mkdir(parents=True, exist_ok=True)
        if not (partial / MANIFEST).exists():
            fill(partial)
            write_manifest(partial, made_from or {})
        if resumed is not None:
            _drop(partial / resumed)
        flush(partial)
        try:
            os.replace(partial, final)
        except OSError:
            if not self._sound(final, made_from):  # otherwise another process was first
                raise
            _drop(partial)
        flush(final.parent)
        self._whole.add(final)

    def failed(self, id: str, error: BaseException) -> str:
        """Store the traceback of the failed cell or training ``id`` and return its path in the store."""
        place = f"{FAILURES}/{id}.txt"
        with translate_disk_errors(self.root):
            write_text(self.root / place, "".join(traceback.format_exception(error)))
        return place

    def succeeded(self, id: str) -> None:
        """Delete the traceback of an earlier attempt."""
        (self.root / FAILURES / f"{id}.txt").unlink(missing_ok=True)

    def _sound(self, final: Path, made_from: Mapping[str, str] | None) -> bool:
        """Return whether ``final`` exists and is undamaged; a damaged folder is moved aside."""
        if not _is_there(final):
            self._whole.discard(final)
            return False
        if final in self._whole:
            return True
        if (wrong := fault(final, made_from)) is None:
            self._whole.add(final)
            return True
        aside = (final.with_name(f"{final.name}.damaged-{n}") for n in itertools.count(1))
        aside_name = next(path for path in aside if not path.exists())
        with suppress(OSError):  # another process was first
            os.replace(final, aside_name)
        log.warning(f"{final}: {wrong}; the folder is set aside as {aside_name.name} and made again")
        return False


def _is_there(folder: Path) -> bool:
    """Return whether ``folder`` exists; network file systems may show new folders only in a listing of the parent."""
    if folder.is_dir():
        return True
    with suppress(OSError):
        return any(entry.name == folder.name for entry in os.scandir(folder.parent)) and folder.is_dir()
    return False


def _take_over(partial: Path, id: str) -> None:
    """Rename the temporary folder of a killed process for ``id`` to ``partial``, so that only this process uses it."""
    for left in sorted(partial.parent.glob(f"{id}*.partial"), key=lambda path: path.stat().st_mtime):
        if left != partial:
            _drop(partial)
            os.replace(left, partial)
    if not _usable(partial):
        _drop(partial)


def _drop_left(final: Path) -> None:
    """Delete temporary folders of ended processes of this host."""
    for left in final.parent.glob(f"{final.name}.{socket.gethostname()}-*.partial"):
        if not is_running(int(left.name.rpartition("-")[0].rpartition("-")[2])):
            _drop(left)


def _usable(partial: Path) -> bool:
    """Return whether a killed run's folder can be resumed: it has no digests yet, or all digests agree."""
    if not (partial / MANIFEST).exists():
        return True
    if (wrong := fault(partial)) is not None:
        log.warning(f"{partial}: {wrong}; the folder of a stopped run is made again")
    return wrong is None


def _schema(mark: Path) -> int | None:
    """Return the version in the schema file of a store, ``None`` if it is missing or damaged."""
    try:
        found = parse_json(read_text(mark, "the schema file of a store"), str(mark))
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
    """Hold the file lock ``path``; wait for it, or with ``busy`` raise InputError with that text."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            if not lock_descriptor(handle.fileno(), blocking=busy is None):
                raise InputError(str(busy))
            if not path.exists() or path.stat().st_ino != os.fstat(handle.fileno()).st_ino:
                continue  # the last holder removed the file
            yield
            return


@contextmanager
def translate_disk_errors(root: Path) -> Iterator[None]:
    """Raise DiskFullError for a full disk and InputError for a read-only one, each with one sentence.

    The sentence names the folder of the file in the system's error, or ``root`` without one.
    """
    try:
        yield
    except Exception as error:
        # safetensors and torch.save raise their own errors with only the system's message
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
    """Write ``value`` as JSON, atomically."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the store; raises InputError for an unreadable file."""
    return parse_json(read_text(path, "a file of the store"), str(path))

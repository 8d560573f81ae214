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
# Where tracebacks lie, and claims of workers.
FAILURES, CLAIMS = "failures", "claims"


class Store:
    """Folders ``<root>/<stage>/<id>``, each with the digests of its files."""

    def __init__(self, root: Path) -> None:
        """Open or make the store; raises InputError when another schema version wrote it.

        A mark of the schema that cannot be read is written anew, with a warning: each folder has digests of its own.
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
        """Return the folder of a finished stage; ``fill`` is called with an unfinished one if there is none.

        The folder gets its digests and then its name when ``fill`` returns. One that is damaged, or was made from
        something else than ``made_from`` (digests by name; ``None``: not asked), is set aside, with a warning.
        With ``resumed``, the name of a folder in the unfinished one that goes when it is whole, one process makes it at
        a time, of all that share the store: others wait and take its work, and what one that was killed left is there
        again (a training resumes from its checkpoint). Without it the folder starts empty, and of several processes
        that make it at once one has its name.
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
                        # this process stood still for so long that another one went on from what it left
                        log.warning(f"{stage}/{id}: another worker has taken it over ({reason(error)})")
        return final

    def _fill(
        self,
        final: Path,
        partial: Path,
        fill: Callable[[Path], None],
        made_from: Mapping[str, str] | None,
        resumed: str | None = None,
    ) -> None:
        """Fill ``partial`` unless it is whole, and give it its name."""
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
            if not self._sound(final, made_from):  # else another process was first
                raise
            _drop(partial)
        flush(final.parent)
        self._whole.add(final)

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
        """Say whether there is a finished folder that is whole; another one is set aside."""
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
        log.warning(f"{final}: {wrong}; it is set aside as {aside_name.name} and made again")
        return False


def _is_there(folder: Path) -> bool:
    """Say whether ``folder`` is there; a file system of a network may know it from a look at its parent alone."""
    if folder.is_dir():
        return True
    with suppress(OSError):
        return any(entry.name == folder.name for entry in os.scandir(folder.parent)) and folder.is_dir()
    return False


def _take_over(partial: Path, id: str) -> None:
    """Give what a process that was killed left of ``id`` the name ``partial``: no other process writes there then."""
    for left in sorted(partial.parent.glob(f"{id}*.partial"), key=lambda path: path.stat().st_mtime):
        if left != partial:
            _drop(partial)
            os.replace(left, partial)
    if not _usable(partial):
        _drop(partial)


def _drop_left(final: Path) -> None:
    """Drop unfinished folders of processes of this host that have gone."""
    for left in final.parent.glob(f"{final.name}.{socket.gethostname()}-*.partial"):
        if not is_running(int(left.name.rpartition("-")[0].rpartition("-")[2])):
            _drop(left)


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

"""Claims of trainings by workers on one or several machines: files of the store, without locks.

The n-th claim of a key is the file ``<key>.<n>``, created with O_EXCL, so only one worker succeeds. The file names its
holder, who renews the modification time every minute. A claim ends when ``<key>.<n>.over`` exists, when its process is
gone from this machine, or ten minutes after the last renewal by the clock of the file system; then the next number is
free. Names are never reused, since network file systems may show deleted files for a while.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import vitmem
from vitmem.errors import InputError

log = logging.getLogger(__name__)
# Seconds between two renewals, from the last renewal to the end of a claim, and between two checks while waiting.
RENEW, FREE, LOOK = 60.0, 600.0, 2.0


def job_key(suite: str, training: str) -> str:
    """Return the key of the claim of a training's cells in ``suite``."""
    return f"jobs/{suite}/{training}"


@dataclass(frozen=True)
class Holder:
    """The holder of a claim; ``machine`` distinguishes equal host names and containers, ``started`` reused pids."""

    host: str
    machine: str
    pid: int
    started: str
    version: str
    since: str

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}, since {self.since}"


@dataclass(frozen=True)
class Claim:
    """A claim held by this process."""

    path: Path
    number: int


class Claims:
    """The claims in the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: set[Path] = set()
        self._renewing: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Path]:
        """Pickle the folder alone, since another process does not hold the claims of this one."""
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Path]) -> None:
        """Start without claims."""
        self.__init__(state["root"])  # type: ignore[misc]

    @contextmanager
    def take(self, key: str) -> Iterator[Claim | None]:
        """Hold the claim of ``key`` inside the block; ``None`` if another worker holds it.

        Raises InputError if that worker runs another version of vitmem.
        """
        number = self._free(key)
        while number is not None and not self._made(path := self._path(key, number)):
            number = self._free(key, number)
        if number is None:
            self._check_version(key)
            yield None
            return
        self._held.add(path)
        self._renew()
        try:
            yield Claim(path, number)
        finally:
            self._held.discard(path)
            with suppress(OSError):  # a full disk: the claim ends with its process
                _over(path).touch()

    @contextmanager
    def wait(self, key: str) -> Iterator[Claim]:
        """Wait until no other worker holds the claim of ``key``, then hold it inside the block."""
        told = False
        while True:
            with self.take(key) as claim:
                if claim is not None:
                    yield claim
                    return
            if not told:
                log.info(f"waiting for another worker ({self.holder(key)}) to finish {key}")
                told = True
            time.sleep(LOOK)

    def holder(self, key: str) -> Holder | None:
        """Return the holder of the claim of ``key``, ``None`` if it is free or its file is not written yet."""
        number = self._last(key)
        path = self._path(key, number)
        return _holder(path) if number and not self._is_over(path) else None

    def was_taken(self, claim: Claim) -> bool:
        """Return whether ``claim`` expired and another worker made the next one."""
        return claim.path.with_suffix(f".{claim.number + 1}").exists()

    def now(self) -> float:
        """Return the seconds since 1970 by the clock of the file system, or of this machine if it is read-only."""
        probe = self.root / f".clock-{socket.gethostname()}-{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.touch()
            return probe.stat().st_mtime
        except PermissionError:
            return time.time()

    def _check_version(self, key: str) -> None:
        """Raise InputError if another version of vitmem holds the claim of ``key``."""
        holder = self.holder(key)
        if holder is not None and holder.version != vitmem.__version__:
            raise InputError(
                f"{self.root}: {holder.host} works on this store with vitmem {holder.version}, this is "
                f"{vitmem.__version__}; use one version, or another folder with --store"
            )

    def _path(self, key: str, number: int) -> Path:
        return self.root / f"{key}.{number}"

    def _last(self, key: str, number: int = 0) -> int:
        while self._path(key, number + 1).exists():
            number += 1
        return number

    def _free(self, key: str, after: int = 0) -> int | None:
        """Return the number of the next claim, ``None`` while the last one is held."""
        last = self._last(key, after)
        return last + 1 if last == 0 or self._is_over(self._path(key, last)) else None

    def _is_over(self, path: Path) -> bool:
        if _over(path).exists():
            return True
        holder = _holder(path)
        if holder is not None and holder.machine == _machine():
            started = _started(holder.pid)
            if started is None or (started and holder.started and started != holder.started):
                return True
        return self.now() - path.stat().st_mtime > FREE

    def _made(self, path: Path) -> bool:
        """Create the claim ``path`` and return True, or False if another process created it first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x") as file:
                try:
                    json.dump(asdict(_me()), file)
                    file.flush()
                except BaseException:  # a full disk: end the claim, since nobody renews it
                    with suppress(OSError):
                        _over(path).touch()
                    raise
        except FileExistsError:
            return False
        return True

    def _renew(self) -> None:
        if self._renewing is None or not self._renewing.is_alive():
            self._renewing = threading.Thread(target=self._renew_all, daemon=True)
            self._renewing.start()

    def _renew_all(self) -> None:
        while True:
            time.sleep(RENEW)
            for path in tuple(self._held):
                with suppress(OSError):
                    os.utime(path)


def _over(path: Path) -> Path:
    return path.with_name(f"{path.name}.over")


def _holder(path: Path) -> Holder | None:
    """Return the holder in a claim's file, ``None`` if it is not written yet."""
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _me() -> Holder:
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(socket.gethostname(), _machine(), pid, _started(pid) or "", vitmem.__version__, since)


def is_running(pid: int) -> bool:
    """Return whether the process ``pid`` runs on this machine; always True on Windows, where this is unknown."""
    return _started(pid) is not None


@cache
def _machine() -> str:
    """Return an identifier of this machine and container, different for equal host names."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """Return the start time of the process ``pid`` on this machine, ``None`` if it is gone, empty if unknown."""
    if os.name == "nt":  # signal 0 is Ctrl-C there
        return ""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except OSError:
        return None
    try:  # fields 3 and 22, after a process name with arbitrary characters
        state, *_, started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:20]
    except OSError:
        return ""
    return None if state in "ZX" else started  # a zombie or dead process

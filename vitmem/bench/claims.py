"""Claims: which worker, on which machine, makes a training. They are files of the store, and no lock is held.

The n-th claim of a key is the file ``<key>.<n>``, made with O_EXCL, so that one worker wins. It says who holds it, and
its holder renews its time of change every minute. A claim is over when ``<key>.<n>.over`` is there, when its process
has gone from this machine, or when it has not been renewed for ten minutes by the clock of the file system; then the
next number is free. No name is used twice, as file systems of a network may show a file that has gone for a while.
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
# Seconds between two renewals of a claim, from the last one until it is free, and between two looks at another's.
RENEW, FREE, LOOK = 60.0, 600.0, 2.0


def job_key(suite: str, training: str) -> str:
    """Return the key of the claim of a training's cells in ``suite``."""
    return f"jobs/{suite}/{training}"


@dataclass(frozen=True)
class Holder:
    """Who holds a claim; ``machine`` tells apart hosts of one name and containers, ``started`` processes of one pid."""

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
    """A claim that this process holds."""

    path: Path
    number: int


class Claims:
    """The claims in the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: set[Path] = set()
        self._renewing: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Path]:
        """Return what another process needs: what this one holds is not held there."""
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Path]) -> None:
        """Hold nothing."""
        self.__init__(state["root"])  # type: ignore[misc]

    @contextmanager
    def take(self, key: str) -> Iterator[Claim | None]:
        """Hold the claim of ``key`` for as long as the block lasts; ``None`` when another worker holds it.

        Raises InputError when that worker has another version of vitmem.
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
        """Hold the claim of ``key``, when no other worker does any more."""
        told = False
        while True:
            with self.take(key) as claim:
                if claim is not None:
                    yield claim
                    return
            if not told:
                log.info(f"{key} is made by another worker ({self.holder(key)}): waiting for it")
                told = True
            time.sleep(LOOK)

    def holder(self, key: str) -> Holder | None:
        """Return who holds the claim of ``key``, ``None`` when nobody does or it cannot be read yet."""
        number = self._last(key)
        path = self._path(key, number)
        return _holder(path) if number and not self._is_over(path) else None

    def was_taken(self, claim: Claim) -> bool:
        """Say whether another worker has made the claim after ``claim``, which was not renewed in time."""
        return claim.path.with_suffix(f".{claim.number + 1}").exists()

    def now(self) -> float:
        """Return the time by the clock of the file system, seconds since 1970, or by this machine's if read-only."""
        probe = self.root / f".clock-{socket.gethostname()}-{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.touch()
            return probe.stat().st_mtime
        except PermissionError:
            return time.time()

    def _check_version(self, key: str) -> None:
        """Raise InputError when another version of vitmem holds the claim of ``key``."""
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
        """Return the number that the next claim would have, ``None`` when the last one is held."""
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
        """Say whether this process has made the claim ``path``, which no other can make then."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x") as file:
                try:
                    json.dump(asdict(_me()), file)
                    file.flush()
                except BaseException:  # a full disk: nobody would renew it
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
    """Return what a claim says of its holder, ``None`` for one that is not written yet."""
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _me() -> Holder:
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(socket.gethostname(), _machine(), pid, _started(pid) or "", vitmem.__version__, since)


def is_running(pid: int) -> bool:
    """Say whether there is a process ``pid`` on this machine; on Windows that is not known, and taken as so."""
    return _started(pid) is not None


@cache
def _machine() -> str:
    """Return what tells this machine from others of its name, and this container from others on it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """Return when the process ``pid`` of this machine began, ``None`` when there is none, nothing when not known."""
    if os.name == "nt":  # where a signal of 0 is Ctrl-C
        return ""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except OSError:
        return None
    try:  # the third field and the 22nd, after a name that may hold anything
        state, *_, started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:20]
    except OSError:
        return ""
    return None if state in "ZX" else started  # a process that has ended and nobody has asked for

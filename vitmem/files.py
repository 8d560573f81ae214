"""Files: checks before reading, folder listings, and atomic writes. Does not import torch."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vitmem.errors import DiskFullError, InputError

# Maximum size of a file read as one text: suites, labels and records are far smaller.
LARGEST_TEXT = 64 * 2**20
# Maximum length of a name in an error.
LONGEST_NAME = 120


@dataclass(frozen=True)
class Walked:
    """The files of a folder, sorted by path, and the numbers of left-out ones by reason."""

    files: tuple[Path, ...]
    left_out: Counter[str]

    def account(self) -> str:
        """Return the left-out files as a phrase (``3 hidden, 2 of type .txt``), or an empty text."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self.left_out.items()))


def short_name(path: Path | str) -> str:
    """Return ``path`` for an error, cut in the middle if long."""
    text = str(path)
    return text if len(text) <= LONGEST_NAME else f"{text[:60]}...{text[-40:]}"


def expand(path: Path | str) -> Path:
    """Return ``path`` with a leading ``~`` replaced by the user's home folder.

    Raises InputError when this user, or the one of ``~name``, has none.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{short_name(path)}: no home folder is known; set HOME or write the whole path") from None


def check_readable(path: Path, expected: str, hint: str = "") -> None:
    """Raise InputError unless ``path`` is a readable regular file; ``expected`` describes its expected content.

    FIFOs and devices are rejected, because reading them may never end. ``hint`` is a suggestion for a missing file.
    """
    name = short_name(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{name}: no such file{hint and f'; {hint}'}") from None
    except (OSError, ValueError) as error:  # a name that is too long, has a null byte, or is below a file
        raise InputError(f"{name}: expected {expected}, got {_why(error)}") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{name}: expected {expected}, got a folder")
    if not stat.S_ISREG(mode):
        raise InputError(f"{name}: expected {expected}, got a pipe or a device")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name}: expected {expected}, got a file that this user may not read")


def read_text(path: Path, expected: str, hint: str = "", limit: int = LARGEST_TEXT) -> str:
    """Return the text of ``path``, UTF-8 with or without a byte order mark.

    Raises InputError as ``check_readable`` does, for a file of more than ``limit`` bytes and for invalid UTF-8.
    """
    check_readable(path, expected, hint)
    name = short_name(path)
    try:
        if (size := path.stat().st_size) > limit:
            raise InputError(f"{name}: expected {expected} of at most {limit / 2**20:g} MiB, got {size / 2**20:.0f}")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: expected {expected} in UTF-8, got other bytes at {error.start}") from None
    except OSError as error:
        raise InputError(f"{name}: expected {expected}, got {_why(error)}") from None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the content of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hidden(name: str) -> bool:
    """Return whether a file or folder name is hidden (``.git``, ``._x.png``)."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini")


def same_name(name: str) -> str:
    """Return ``name`` in Unicode's composed form, because file systems differ in the form they return."""
    return unicodedata.normalize("NFC", name)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder``, including links to folders, sorted by name, without hidden ones."""
    return sorted((p for p in folder.iterdir() if p.is_dir() and not hidden(p.name)), key=lambda p: same_name(p.name))


def walk(folder: Path, suffixes: Collection[str]) -> Walked:
    """Return the files of ``folder`` and its subfolders whose lower-case suffix is one of ``suffixes``.

    They are sorted by relative path. Links to folders are followed, each real folder once. Hidden files, hidden folders
    (as one each), other suffixes and non-regular files are left out and counted. Raises InputError for an unreadable
    folder.
    """
    left_out: Counter[str] = Counter()
    files = sorted(_below(folder, suffixes, left_out, set()), key=lambda f: same_name(f.relative_to(folder).as_posix()))
    return Walked(tuple(files), left_out)


def _below(folder: Path, suffixes: Collection[str], left_out: Counter[str], seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a parent folder
        left_out["linked twice"] += 1
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{short_name(folder)}: cannot read this folder ({_why(error)})") from None
    for entry in entries:
        path = folder / entry.name
        suffix = path.suffix.lower()
        if hidden(entry.name):
            left_out["hidden"] += 1
        elif path.is_dir():
            yield from _below(path, suffixes, left_out, seen)
        elif not path.is_file():
            left_out["no regular file"] += 1
        elif suffix in suffixes:
            yield path
        else:
            left_out[f"of type {suffix}" if suffix else "without a type"] += 1


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write`` with a temporary name beside ``path``, flush the written file to disk and rename it.

    A missing folder is created, and the file gets the permissions of the user's umask. After an error no file is left
    and ``path`` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~umask())
        flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8 to ``path``, atomically; see ``write_whole``."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(text.encode())

    write_whole(path, write)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an OSError while writing ``path`` to DiskFullError for a full disk, otherwise to InputError."""
    try:
        yield
    except OSError as error:
        name = short_name(path)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"{name}: the disk is full; free some space and run the same command again") from None
        raise InputError(f"{name}: cannot write here ({_why(error)}); give another folder") from None


def flush(path: Path) -> None:
    """Wait until the file or folder ``path`` is on disk, so that a rename survives a power loss."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """Return the permissions that new files of this process lack."""
    old = os.umask(0)
    os.umask(old)
    return old


@contextmanager
def readable(path: Path, expected: str) -> Iterator[None]:
    """Convert an OSError while reading ``path`` to InputError with the ``expected`` content."""
    check_readable(path, expected)
    try:
        yield
    except OSError as error:
        raise InputError(f"{short_name(path)}: expected {expected}, got {_why(error)}") from None


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or type(error).__name__).lower() if isinstance(error, OSError) else str(error)

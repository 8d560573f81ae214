"""The store: whole or absent, locked, of one schema."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors import SafetensorError

from vitmem.bench.store import Store, guard_disk, lock, write_json
from vitmem.errors import DiskFullError, InputError


def write(text: str) -> Callable[[Path], None]:
    """Return what fills a stage with one file ``x``."""
    return lambda folder: (folder / "x").write_text(text) and None


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")

    def fill(folder: Path) -> None:
        write("1")(folder)
        assert not store.has("training", "a")

    assert store.make("training", "a", fill) == store.folder("training", "a")
    assert (store.folder("training", "a") / "x").read_text() == "1"


def test_what_is_finished_is_not_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make("training", "a", write("1"))
    assert (Store(tmp_path).make("training", "a", write("2")) / "x").read_text() == "1"


def test_who_waits_takes_the_work_of_who_was_first(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        begun.set()
        go.wait()
        write("first")(folder)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(Store(tmp_path).make, "training", "a", slow)
        begun.wait()
        second = pool.submit(Store(tmp_path).make, "training", "a", write("second"))
        assert not second.done()
        go.set()
        assert first.result() == second.result()
    assert (first.result() / "x").read_text() == "first"


def fail(folder: Path) -> None:
    (folder / "half").write_text("1")
    raise RuntimeError


@pytest.mark.parametrize("keep", [False, True])
def test_what_fails_is_not_believed_and_is_there_again_only_if_it_is_kept(tmp_path: Path, keep: bool) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError):
        store.make("training", "a", fail)
    assert not store.has("training", "a")
    assert (store.make("training", "a", write("1"), keep=keep) / "half").exists() == keep


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    Store(tmp_path)
    write_json(tmp_path / "schema.json", {"schema": 99})
    with pytest.raises(InputError, match="schema 99"):
        Store(tmp_path)


def test_a_lock_that_is_held_is_one_sentence(tmp_path: Path) -> None:
    with (
        lock(tmp_path / "l", busy="taken"),
        pytest.raises(InputError, match="taken"),
        lock(tmp_path / "l", busy="taken"),
    ):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos: No space left on device"),
    ],
)
def test_a_full_disk_is_one_sentence(tmp_path: Path, error: Exception) -> None:
    def fill(folder: Path) -> None:
        raise error

    with pytest.raises(DiskFullError, match="the disk is full; free some space"):
        Store(tmp_path).make("training", "a", fill)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write here"), guard_disk(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system")

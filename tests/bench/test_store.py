"""The store: whole or absent, locked, of one schema."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from vitmem.bench.store import Store, guard_disk, lock, write_json
from vitmem.errors import InputError, VitmemError


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    with store.writing("training", "a") as folder:
        (folder / "x").write_text("1")
        assert not store.has("training", "a")
    assert (store.folder("training", "a") / "x").read_text() == "1"


def test_what_fails_leaves_nothing_that_is_believed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing("training", "a") as folder:
        (folder / "half").write_text("1")
        raise RuntimeError
    assert not store.has("training", "a")
    with store.writing("training", "a") as folder:
        assert not (folder / "half").exists()


def test_a_training_finds_what_it_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing("training", "a", keep=True) as folder:
        (folder / "checkpoint").write_text("1")
        raise RuntimeError
    with store.writing("training", "a", keep=True) as folder:
        assert (folder / "checkpoint").exists()


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


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VitmemError, match="disk is full"), guard_disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")

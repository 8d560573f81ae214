"""The store: whole or absent, locked, of one schema."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

import vitmem.bench.manifest as manifest
import vitmem.bench.store as store_module
from vitmem.bench.manifest import fault
from vitmem.bench.store import Store, lock, translate_disk_errors, write_json
from vitmem.errors import DiskFullError, InputError
from vitmem.files import file_digest


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
        first = pool.submit(Store(tmp_path).make, "training", "a", slow, resumed="half-way")
        begun.wait()
        second = pool.submit(Store(tmp_path).make, "training", "a", write("second"), resumed="half-way")
        assert not second.done()
        go.set()
        assert first.result() == second.result()
    assert (first.result() / "x").read_text() == "first"


def test_a_process_that_stood_still_waits_for_who_has_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)

    def taken_over(folder: Path) -> None:
        """Stand still while another process claims the stage, finishes it, and ends."""
        claim = tmp_path / "claims" / "training" / "a.2"
        claim.write_text("{}")
        folder.rename(folder.with_name("a.2.partial"))
        write("2")(folder.with_name("a.2.partial"))
        manifest.write_manifest(folder.with_name("a.2.partial"), {})
        folder.with_name("a.2.partial").rename(folder.with_name("a"))
        claim.with_name("a.2.over").touch()
        (folder / "lost").write_text("no such folder")

    folder = store.make("training", "a", taken_over, resumed="half-way")
    assert (folder / "x").read_text() == "2"
    assert "training/a: another worker took it over" in caplog.text


def fail(folder: Path) -> None:
    (folder / "half").write_text("1")
    raise RuntimeError


@pytest.mark.parametrize("resumed", [None, "half-way"])
def test_what_fails_is_not_believed_and_is_there_again_only_if_it_is_resumed(
    tmp_path: Path, resumed: str | None
) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError):
        store.make("training", "a", fail, resumed=resumed)
    assert not store.has("training", "a")
    folder = store.make("training", "a", write("1"), resumed=resumed)
    assert (folder / "half").exists() == (resumed is not None)


def test_what_is_resumed_from_goes_when_the_stage_is_whole(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half-way").mkdir()
        (folder / "half-way" / "last").write_text("1")
        write("1")(folder)

    folder = Store(tmp_path).make("training", "a", fill, resumed="half-way")
    assert sorted(path.name for path in folder.iterdir()) == ["digests.json", "x"]


def flip(path: Path, at: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda folder: flip(folder / "x"), "x has another content than was written"),
    "truncated": (lambda folder: (folder / "x").write_text("12"), "x has 2 bytes, 3 were written"),
    "empty": (lambda folder: (folder / "x").write_text(""), "x has 0 bytes"),
    "deleted": (lambda folder: (folder / "x").unlink(), "x is missing"),
    "no digests": (lambda folder: (folder / "digests.json").unlink(), "digests.json is missing"),
    "torn digests": (lambda folder: (folder / "digests.json").write_text('{"files"'), "got invalid JSON"),
    "empty digests": (lambda folder: (folder / "digests.json").write_text(""), "got invalid JSON"),
    "other digests": (lambda folder: (folder / "digests.json").write_text("[1]"), "digests.json has another content"),
    "flipped digests": (lambda folder: flip(folder / "digests.json", 40), "digests.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_set_aside_and_made_again_with_one_sentence(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Store(tmp_path).make("training", "a", write("123"))
    hurt, sentence = DAMAGES[damage]
    for n in (1, 2):
        hurt(folder)
        assert Store(tmp_path).make("training", "a", write("123")) == folder
        assert (folder / "x").read_text() == "123"
        assert (tmp_path / "training" / f"a.damaged-{n}").is_dir()
        assert len(caplog.messages) == n
        for part in (str(folder), sentence, f"set aside as a.damaged-{n}"):
            assert part in caplog.messages[-1]
    assert Store(tmp_path).make("training", "a", write("x")) == folder and len(caplog.messages) == 2


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    folder = Store(tmp_path).make("training", "a", write("123"))
    for path in (folder / "x", folder / "digests.json"):
        before = path.read_bytes()
        for bit in range(8 * len(before)):
            data = bytearray(before)
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            assert fault(folder) is not None, (path, bit)
        path.write_bytes(before)
    assert fault(folder) is None


def test_a_damaged_folder_is_none_that_the_store_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Store(tmp_path).make("training", "a", write("1"))
    (folder / "x").unlink()
    assert not Store(tmp_path).has("training", "a")
    (told,) = caplog.messages
    assert "x is missing" in told and not folder.exists()


def test_what_was_made_from_something_else_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for weights in ("1", "2", "2"):
        made_from = {"weights": weights}
        Store(tmp_path).make("statistics", "a", write(weights), made_from=made_from)
    (told,) = caplog.messages
    assert "it was made from other weights" in told
    assert (tmp_path / "statistics" / "a" / "x").read_text() == "2"


def test_content_is_read_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path).make("training", "a", write("1"))
    read: list[Path] = []
    monkeypatch.setattr(manifest, "file_digest", lambda path: read.append(path) or file_digest(path))
    store = Store(tmp_path)
    for _ in range(3):
        store.make("training", "a", write("1"))
        assert store.has("training", "a")
    assert len(read) == 1


def test_an_unfinished_stage_that_has_its_digests_is_whole_and_a_damaged_one_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run may be killed when everything is written but its name."""
    folder = Store(tmp_path).make("training", "a", write("1"), resumed="half-way")
    partial = folder.with_name("a.partial")
    folder.rename(partial)
    Store(tmp_path).make("training", "a", write("2"), resumed="half-way")
    assert (folder / "x").read_text() == "1" and not caplog.messages
    folder.rename(partial)
    flip(partial / "x")
    Store(tmp_path).make("training", "a", write("2"), resumed="half-way")
    (told,) = caplog.messages
    assert (folder / "x").read_text() == "2" and "x has another content" in told


def test_files_have_the_rights_of_the_umask(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        save_file({"a": torch.zeros(2)}, folder / "a.safetensors")
        (folder / "private").touch(0o600)
        write_json(folder / "b.json", {})

    old = os.umask(0o027)
    try:
        folder = Store(tmp_path).make("training", "a", fill)
    finally:
        os.umask(old)
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert rights == dict.fromkeys(("a.safetensors", "b.json", "private", "digests.json"), 0o640)


def test_what_gets_its_name_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    for module in (manifest, store_module):
        monkeypatch.setattr(module, "flush", flushed.append)
    replaced: list[int] = []
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (replaced.append(len(flushed)), real(a, b))[1])
    folder = Store(tmp_path).make("training", "a", write("1"), resumed="half-way")
    partial = folder.with_name("a.1.partial")
    assert flushed[: replaced[-1]] == [partial / "x", partial] and flushed[replaced[-1] :] == [folder.parent]


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"schema": "x"}', '{"schema": 1, "schema": 2}', "\0"])
def test_a_mark_that_cannot_be_read_is_written_anew_with_one_sentence(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    Store(tmp_path).make("training", "a", write("1"))
    (tmp_path / "schema.json").write_text(text)
    assert Store(tmp_path).has("training", "a")
    (told,) = caplog.messages
    assert "schema.json: the file was damaged and is written again" in told
    Store(tmp_path)
    assert caplog.messages == [told]


def test_a_new_store_is_opened_by_many_at_the_same_moment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(20):
        begin = threading.Barrier(8)

        def open_it(folder: Path = tmp_path / str(n), begin: threading.Barrier = begin) -> None:
            begin.wait()
            Store(folder)

        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(open_it) for _ in range(8)]:
                future.result()
    assert not caplog.messages


def test_a_store_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    for path in (tmp_path / "s", tmp_path / "s" / "t"):
        with pytest.raises(InputError, match="expected a folder, got a file"):
            Store(path)


def test_a_lock_that_its_holder_has_removed_is_none(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        with lock(tmp_path / "l"):
            go.wait()

    with ThreadPoolExecutor(1) as pool:
        with lock(tmp_path / "l"):
            waiting = pool.submit(waits)
            begun.wait()
            time.sleep(0.05)
            (tmp_path / "l").unlink()
        for _ in range(100):
            if (tmp_path / "l").exists():
                break
            time.sleep(0.02)
        try:
            with pytest.raises(InputError, match="taken"), lock(tmp_path / "l", busy="taken"):
                pass
        finally:
            go.set()
        waiting.result()


def test_a_full_disk_is_blamed_on_the_folder_that_is_full(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match=r"^/elsewhere: the disk is full"), translate_disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere/x")
    inner = Path("inner")
    with (
        pytest.raises(DiskFullError, match=r"^inner: the disk is full"),
        translate_disk_errors(tmp_path),
        translate_disk_errors(inner),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_traceback_of_what_failed_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    try:
        raise ValueError("why")
    except ValueError as error:
        place = store.failed("a", error)
    text = (tmp_path / place).read_text()
    assert "test_store.py" in text and text.endswith("ValueError: why\n")
    store.succeeded("a")
    store.succeeded("a")
    assert not (tmp_path / place).exists()


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
    with pytest.raises(InputError, match="cannot write here"), translate_disk_errors(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system")

"""One worker holds a claim; what its process, its machine or nobody renews any more is free under the next number."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import vitmem.bench.claims as module
from vitmem.bench.claims import Claims
from vitmem.errors import InputError

HOLD = """
import sys, time
from pathlib import Path
from vitmem.bench.claims import Claims
with Claims(Path(sys.argv[1])).take("training/a") as claim:
    print(claim.number, flush=True)
    time.sleep(600)
"""


def taken(root: Path, key: str = "training/a") -> int | None:
    """Return the number of the claim that is got, and give it back."""
    with Claims(root).take(key) as claim:
        return None if claim is None else claim.number


def foreign(root: Path, seconds_ago: float, **changes: Any) -> Path:
    """Leave the claim of a worker on another machine, renewed so long ago."""
    with Claims(root).take("training/a") as claim:
        assert claim is not None
        content = json.loads(claim.path.read_text())
    path = claim.path
    path.with_name(f"{path.name}.over").unlink()
    path.write_text(json.dumps({**content, "host": "node7", "machine": "node7", "pid": 1, **changes}))
    os.utime(path, (time.time() - seconds_ago,) * 2)
    return path


def test_one_worker_has_it_and_the_next_one_after_it(tmp_path: Path) -> None:
    with Claims(tmp_path).take("training/a") as claim:
        assert claim is not None and claim.number == 1
        assert taken(tmp_path) is None and taken(tmp_path, "training/b") == 1
        holder = Claims(tmp_path).holder("training/a")
        assert holder is not None and holder.pid == os.getpid()
    assert Claims(tmp_path).holder("training/a") is None
    assert taken(tmp_path) == 2
    assert sorted(p.name for p in (tmp_path / "training").glob("a.*")) == ["a.1", "a.1.over", "a.2", "a.2.over"]


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    barrier, hold = threading.Barrier(16), threading.Event()

    def take() -> int | None:
        barrier.wait()
        with Claims(tmp_path).take("training/a") as claim:
            if claim is not None:
                hold.wait()
            return None if claim is None else claim.number

    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(take) for _ in range(16)]
        while sum(future.done() for future in futures) < 15:
            time.sleep(0.01)
        hold.set()
        assert sorted(future.result() or 0 for future in futures) == [0] * 15 + [1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_that_of_a_process_that_has_gone_is_free_at_once(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        assert taken(tmp_path) is None
        process.send_signal(how)
    assert taken(tmp_path) == 2


def test_another_process_of_the_same_number_is_not_taken_for_it(tmp_path: Path) -> None:
    with Claims(tmp_path).take("training/a") as claim:
        assert claim is not None
        content = json.loads(claim.path.read_text())
        claim.path.write_text(json.dumps({**content, "started": "1"}))
        assert taken(tmp_path) == 2


def test_that_of_another_machine_is_free_after_ten_minutes_without_renewal(tmp_path: Path) -> None:
    path = foreign(tmp_path, 590)
    assert taken(tmp_path) is None
    os.utime(path, (time.time() - 610,) * 2)
    assert taken(tmp_path) == 2


def test_one_that_is_not_written_yet_is_held(tmp_path: Path) -> None:
    foreign(tmp_path, 0).write_text("")
    assert taken(tmp_path) is None


def test_it_is_renewed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW", 0.05)
    with Claims(tmp_path).take("training/a") as claim:
        assert claim is not None
        os.utime(claim.path, (0, 0))
        time.sleep(0.5)
        assert time.time() - claim.path.stat().st_mtime < 10


def test_a_worker_of_another_version_is_one_sentence(tmp_path: Path) -> None:
    foreign(tmp_path, 5, version="99.0")
    with pytest.raises(InputError, match=r"node7 works on this store with vitmem 99\.0, this is .*; use one version"):
        taken(tmp_path)
    foreign(tmp_path / "old", 700, version="99.0")
    assert taken(tmp_path / "old") == 2


def test_who_waits_gets_it_when_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.01)
    order: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with Claims(tmp_path).take("training/a"):

            def wait() -> None:
                with Claims(tmp_path).wait("training/a"):
                    order.append("second")

            waiting = pool.submit(wait)
            time.sleep(0.1)
            order.append("first")
        waiting.result()
    assert order == ["first", "second"]


def test_one_that_cannot_be_written_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.json, "dump", full)
        with pytest.raises(OSError):
            taken(tmp_path)
    assert taken(tmp_path) == 2


def test_that_of_a_process_which_nobody_has_asked_for_is_free(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        process.kill()
        while "Z" not in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2][:3]:
            time.sleep(0.01)
        assert taken(tmp_path) == 2


def test_who_looks_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign(tmp_path, 5, version="99.0")

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    holder = Claims(tmp_path).holder("training/a")
    assert holder is not None and holder.version == "99.0"


def test_another_process_holds_nothing_of_it(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with claims.take("training/a"):
        copy = pickle.loads(pickle.dumps(claims))
        with copy.take("training/b") as claim:
            assert claim is not None

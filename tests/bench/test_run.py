"""A suite end to end on real digits: rows, tables, nothing repeated, failures as rows."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import vitmem.bench.executors.local as local
import vitmem.protocols.image as vision
from vitmem.bench.claims import Claims
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError, VitmemError
from vitmem.outcomes import unpacked
from vitmem.registry import EDITS
from vitmem.reports.files import check_tables, write_tables
from vitmem.rows import read_rows

TINY = Path(__file__).parent / "tiny.yaml"


def run(folder: Path, suite: Path = TINY, **options: Any) -> Outcome:
    places = Places(Store(folder / "store"), None, folder / "cache", "cpu")
    return run_suite(make_plan(load_suite(suite), suite), places, folder / "results", **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert run(folder) == Outcome(cells=5, found=0, made=5, failed=0)
    return folder


@pytest.fixture
def rows(finished: Path) -> list[dict[str, Any]]:
    return read_rows(rows_path(finished / "results", "tiny"))


def test_a_row_holds_what_the_tables_need(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        metrics = row["metrics"]
        assert metrics["memorized"] + metrics["recovered"] + metrics["other"] == pytest.approx(1)
        assert row["counts"]["noisy"] == 40
        assert row["counts"]["noisy_selection"] == row["counts"]["noisy_report"] == 20
        assert row["noise"]["realised"] == pytest.approx(0.1)
        assert {"training_seconds", "evaluate_seconds", "training_peak_bytes", "edit_peak_bytes"} <= set(row["costs"])
        assert row["environments"]["training"]["device"] == row["environment"]["device"] == "cpu"
        assert len(row["data"]["sha256"]) == 16
    edits = [r for r in rows if r["config"]["edit"]["method"] != "none"]
    assert all(r["edit"]["relative_change"] > 0 for r in edits)
    kfac = next(r for r in edits if r["config"]["edit"] == {**r["config"]["edit"], "method": "kfac", "blocks": "last"})
    assert kfac["edit"]["kept_pairs"] == round(0.1 * 32 * 128) * 2
    assert (kfac["edit"]["information"], kfac["costs"]["statistics_passes"]) == ("unlabelled", 1)
    assert all(("statistics_passes" in r["costs"]) == ("statistics" in r["ids"]) for r in rows)
    assert [("information" in r["edit"]) for r in rows] == [r["config"]["edit"]["method"] != "none" for r in rows]


def test_a_row_says_what_became_of_each_reported_image(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        found = {name: unpacked(text) for name, text in row["outcomes"].items()}
        assert {name: hits.mean() for name, hits in found.items()} == pytest.approx(
            {name: row["metrics"][name] for name in ("memorized", "recovered", "validation")}
        )
        assert not (found["memorized"] & found["recovered"]).any()
        assert len(found["memorized"]) == row["counts"]["noisy_report"]


def test_metrics_can_be_computed_again_from_the_stored_predictions(finished: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        stored = load_file(finished / "store" / "evaluation" / row["id"] / "predictions.safetensors")
        clean = stored["given"] == stored["true"]
        right = stored["logits"].float().argmax(1) == stored["true"]
        assert row["metrics"]["clean_train"] == pytest.approx(float(right[clean].float().mean()))


def test_running_again_does_nothing(finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"}
    assert run(finished) == Outcome(cells=5, found=5, made=0, failed=0)
    after = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"}
    assert after == before


def test_rows_alone_are_enough_to_do_nothing(finished: Path, tmp_path: Path) -> None:
    path = rows_path(tmp_path / "results", "tiny")
    path.parent.mkdir(parents=True)
    path.write_bytes(rows_path(finished / "results", "tiny").read_bytes())
    assert run(tmp_path).made == 0


def test_rows_of_cells_that_the_suite_has_no_more_go_when_asked(finished: Path, tmp_path: Path) -> None:
    path = rows_path(tmp_path / "results", "tiny")
    path.parent.mkdir(parents=True)
    path.write_bytes(rows_path(finished / "results", "tiny").read_bytes())
    content = yaml.safe_load(TINY.read_text())
    suite = tmp_path / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**content, "edits": content["edits"][:2]}))
    assert run(tmp_path, suite) == Outcome(cells=3, found=3, made=0, failed=0)
    assert len(read_rows(path)) == 5
    run(tmp_path, suite, prune=True)
    assert {row["config"]["edit"]["method"] for row in read_rows(path)} == {"none", "kfac"}


def borrow(store: Path, mine: Path) -> None:
    """Make ``mine`` a store with the trainings, statistics and predictions of ``store``, and none of its rows."""
    Store(mine)
    for stage in ("training", "statistics", "evaluation"):
        (mine / stage).symlink_to(store / stage)


def test_lost_rows_come_back_from_the_store_without_training(finished: Path, tmp_path: Path) -> None:
    borrow(finished / "store", tmp_path / "store")
    assert run(tmp_path).made == 5
    new, old = (read_rows(rows_path(f / "results", "tiny")) for f in (tmp_path, finished))
    assert [r["metrics"] for r in new] == [r["metrics"] for r in old]


def test_filters_controls_and_importances_go_through_the_same_stages(finished: Path, tmp_path: Path) -> None:
    borrow(finished / "store", tmp_path / "store")
    edits = [
        {"method": "none"},
        {"method": "kfac", "fraction": 0.1, "importance": ["tkfac", "foof", "ekfac"]},
        {"method": "random_pairs", "fraction": 0.1},
        {"method": "svd_rmt", "edge": 1.0},
        {"method": "sap", "alpha": 1e4},
        {"method": "isotropic_noise", "relative_norm": 0.1},
        {"method": ["uniform_scaling", "toward_init"], "factor": 0.9},
    ]
    content = {**yaml.safe_load(TINY.read_text()), "edits": [{"blocks": "last", **edit} for edit in edits]}
    del content["edits"][0]["blocks"]
    suite = tmp_path / "tiny.yaml"
    suite.write_text(yaml.safe_dump(content))
    assert run(tmp_path, suite) == Outcome(cells=10, found=0, made=10, failed=0)
    rows = read_rows(rows_path(tmp_path / "results", "tiny"))
    found = [(row["config"]["edit"], row["edit"].get("relative_change")) for row in rows]
    assert all(0 < change <= 1 for edit, change in found if edit["method"] != "none")
    changes = {edit["method"]: change for edit, change in found}
    assert changes["isotropic_noise"] == pytest.approx(0.1) and changes["uniform_scaling"] == pytest.approx(0.1)


def test_tables_are_the_same_bytes_and_a_changed_one_is_found(finished: Path) -> None:
    results = finished / "results"
    first = {p: p.read_bytes() for p in write_tables(results)}
    for path in first:
        path.unlink()
    assert {p: p.read_bytes() for p in write_tables(results)} == first
    assert check_tables(results) == []
    victim = next(iter(first))
    victim.write_text("changed")
    assert check_tables(results) == [victim]
    write_tables(results)


def test_a_cell_that_fails_is_a_row_and_the_others_go_on(tmp_path: Path, finished: Path) -> None:
    borrow(finished / "store", tmp_path / "store")

    @EDITS.register("failing", version=1, uses="data-free")
    def failing(context: Any) -> Any:
        raise VitmemError("blocks.1.mlp.fc1: NaN in the edited weights")

    try:
        content = yaml.safe_load(TINY.read_text())
        content["edits"] = [{"method": "failing", "blocks": "last"}, {"method": "none"}]
        suite = tmp_path / "tiny.yaml"
        suite.write_text(yaml.safe_dump(content))
        assert run(tmp_path, suite) == Outcome(cells=2, found=0, made=2, failed=1)
        by_status = {r["status"]: r for r in read_rows(rows_path(tmp_path / "results", "tiny"))}
        assert by_status["failed"]["reason"] == "blocks.1.mlp.fc1: NaN in the edited weights"
        assert "memorized" in by_status["ok"]["metrics"]
        assert run(tmp_path, suite).made == 1  # what failed is tried again
    finally:
        EDITS.discard("failing")


def test_two_workers_share_out_the_trainings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = yaml.safe_load(TINY.read_text())
    suite = tmp_path / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**content, "seeds": [0, 1]}))
    labels: list[str] = []
    with caplog.at_level(logging.INFO, "vitmem"):
        outcome = run(tmp_path, suite, workers=2, on_event=lambda event, progress: labels.append(event[0]))
    assert outcome == Outcome(cells=10, found=0, made=10, failed=0)
    assert len(labels) == 10
    for label in set(labels):  # lines of both processes, each behind the name of its job
        assert caplog.messages.count(f"{label}: training") == 1
    assert {r["status"] for r in read_rows(rows_path(tmp_path / "results", "tiny"))} == {"ok"}
    assert len(list((tmp_path / "store" / "training").glob("*[0-9a-f]"))) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_when_what_started_them_is_stopped(tmp_path: Path, how: signal.Signals) -> None:
    content = yaml.safe_load(TINY.read_text())
    suite = tmp_path / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**content, "seeds": [0, 1], "recipe": {"epochs": 10_000}}))
    options = ["--workers", "2", "--store", "store", "--cache-dir", "cache", "--device", "cpu"]
    command = [sys.executable, "-m", "vitmem.cli.main", "run", "tiny.yaml", *options]
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    # a shell that put the tests into the background may have told them, and so the run, to ignore SIGINT
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, cwd=tmp_path, stdout=quiet, stderr=pipe, text=True, process_group=0) as process:
        while len(list(tmp_path.glob("store/training/*.partial/checkpoints/last.ckpt"))) < 2:
            assert process.poll() is None
            time.sleep(0.2)
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does: everyone in the foreground gets it
            assert process.wait(300) == 130
            assert process.stderr is not None
            told = process.stderr.read()
            assert told.endswith("\nstopped; the same command continues from here\n") and "Traceback" not in told
        else:
            process.kill()
    claims = Claims(tmp_path / "store" / "claims")
    keys = {path.relative_to(claims.root).with_suffix("").as_posix() for path in claims.root.glob("training/*.1")}
    assert len(keys) == 2
    for _ in range(50):  # both workers let go of their trainings
        if all(claims.holder(key) is None for key in keys):
            return
        time.sleep(0.2)
    pytest.fail("a worker outlived the process that started it")


@pytest.mark.parametrize(
    ("asked", "number", "given"),
    [("auto", 3, "cuda:1"), ("cuda", 0, "cuda:0"), ("cuda:1", 0, "cuda:1"), ("cpu", 1, "cpu")],
)
def test_a_worker_has_a_gpu_of_its_own(asked: str, number: int, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(local.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(local.os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(local.torch, "set_num_threads", lambda _: None)
    assert local._share_out(number, 4, asked) == given


@pytest.mark.parametrize(
    ("workers", "shares"), [(2, [([4, 6], 2), ([5, 7], 2)]), (3, [([4, 7], 2), ([5], 1), ([6], 1)]), (5, [([], 1)] * 5)]
)
def test_cores_are_shared_out(workers: int, shares: list, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = [4, 5, 6, 7]
    given: list[Any] = []
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda _: set(cores), raising=False)
    monkeypatch.setattr(local.os, "sched_setaffinity", lambda _, mine: given.append(mine), raising=False)
    monkeypatch.setattr(local.torch, "set_num_threads", given.append)
    for number in range(workers):
        local._share_out(number, workers, "cpu")
    assert list(zip(given[::2], given[1::2], strict=True)) == [(mine or cores, threads) for mine, threads in shares]


def test_ctrl_c_leaves_what_was_finished(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    for name in ("schema.json", "training"):
        (tmp_path / "store" / name).symlink_to(finished / "store" / name)
    real = vision.edited
    calls = iter(range(100))

    def interrupted(*arguments: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(vision, "edited", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    kept = len(read_rows(rows_path(tmp_path / "results", "tiny")))
    assert 0 < kept < 5
    monkeypatch.undo()
    assert run(tmp_path).found == kept


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cuda")
    with pytest.raises(InputError, match="cuda"):
        run_suite(make_plan(load_suite(TINY), TINY), places, tmp_path / "results")


def test_a_store_is_never_unpickled(finished: Path) -> None:
    suffixes = {p.suffix for p in (finished / "store").rglob("*") if p.is_file() and "tensorboard" not in p.parts}
    assert suffixes <= {".safetensors", ".json", ".jsonl", ".csv", ".yaml", ".lock", ".txt", ".1", ".over", ""}, (
        suffixes
    )
    for path in (finished / "store").rglob("*.json"):
        json.loads(path.read_text())

"""Rows of each training lie in the store: several runs work on one suite, and each collects all rows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import vitmem.bench.runner as runner
from vitmem.bench.experiment import Places
from vitmem.bench.journal import journal
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.registry import METRICS
from vitmem.rows import appended_rows, read_rows
from vitmem.training import fit

SUITE: dict[str, Any] = {
    "name": "shared",
    "seeds": [0, 1],
    "data": {"name": "digits", "train": 120, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 1, "batch_size": 60, "warmup_epochs": 0, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "svd", "blocks": "last", "rank_fraction": [0.2, 0.4]}],
}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "shared.yaml"
    file.write_text(yaml.safe_dump(SUITE))
    return make_plan(load_suite(file), file)


def run(plan: Plan, folder: Path, results: str, **options: Any) -> Outcome:
    places = Places(Store(folder / "store"), None, folder / "cache", "cpu")
    return run_suite(plan, places, folder / results, **options)


def of_seed(plan: Plan, seed: int) -> Plan:
    return plan.only([cell.id for cell in plan.cells if cell.config["seed"] == seed])


def journals(plan: Plan, folder: Path) -> list[Path]:
    return [journal(folder / "store", "shared", job.training.id) for job in plan.jobs()]


def test_each_run_collects_what_others_made_in_any_order(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(of_seed(plan, 1), tmp_path, "one").made == 3
    assert run(of_seed(plan, 0), tmp_path, "two").made == 3
    monkeypatch.setattr(fit.Trainer, "fit", None)
    assert run(plan, tmp_path, "one") == Outcome(cells=6, found=6, made=0, failed=0)
    assert run(plan, tmp_path, "two") == Outcome(cells=6, found=6, made=0, failed=0)
    assert run(plan, tmp_path, "three") == Outcome(cells=6, found=6, made=0, failed=0)
    one, two, three = (rows_path(tmp_path / name, "shared").read_bytes() for name in ("one", "two", "three"))
    assert one == two == three
    assert [len(appended_rows(path)) for path in journals(plan, tmp_path)] == [3, 3]


def test_plan_and_run_say_how_many_rows_the_store_has(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(of_seed(plan, 0), tmp_path, "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert "3 done" in CliRunner().invoke(app, ["plan", "shared.yaml"]).stdout
    done = CliRunner().invoke(app, ["run", "shared.yaml", "--no-progress", "--device", "cpu", "--cache-dir", "cache"])
    assert done.exit_code == 0 and "6 cells, 3 have a row, 3 to do" in done.stdout


def test_a_damaged_line_is_set_aside_and_its_cells_measured_again(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run(plan, tmp_path, "one")
    path, _ = journals(plan, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"validation":0.', b'"validation":1.', 1))
    monkeypatch.setattr(fit.Trainer, "fit", None)
    with caplog.at_level(logging.WARNING, "vitmem"):
        assert run(plan, tmp_path, "two") == Outcome(cells=6, found=3, made=3, failed=0)
    (warning,) = (message for message in caplog.messages if "set aside" in message)
    assert f"{path}:1: it has another content than was written" in warning and "measured again" in warning
    first, second = (read_rows(rows_path(tmp_path / name, "shared")) for name in ("one", "two"))
    assert [row["metrics"] for row in first] == [row["metrics"] for row in second]


def test_rows_of_other_cells_and_of_other_metrics_are_left_there(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path, "one")
    assert run(of_seed(plan, 1), tmp_path, "two").found == 3
    assert {row["config"]["seed"] for row in read_rows(rows_path(tmp_path / "two", "shared"))} == {1}
    METRICS.register("size", version=1)(lambda predictions, base: {"images_seen": float(len(predictions.given))})
    try:
        assert run(plan, tmp_path, "three") == Outcome(cells=6, found=0, made=6, failed=0)
    finally:
        METRICS.discard("size")
    assert [len(appended_rows(path)) for path in journals(plan, tmp_path)] == [6, 6]


def test_rows_are_written_while_a_run_goes_on(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = rows_path(tmp_path / "one", "shared"), []

    def count(*_: Any) -> None:
        seen.append(len(read_rows(path)) if path.exists() else 0)

    monkeypatch.setattr(runner, "WRITE_EVERY", 0.0)
    run(plan, tmp_path, "one", on_event=count)
    assert seen == [0, 1, 2, 3, 4, 5]

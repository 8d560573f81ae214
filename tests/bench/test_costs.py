"""What a plan takes, from what its like took."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vitmem.bench.cells import Cell
from vitmem.bench.costs import costs
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.suite import load_suite
from vitmem.bench.suite_checks import remarks
from vitmem.cli.plan import plan as print_plan
from vitmem.rows import read_rows

Write = Callable[..., Path]
EDITS = [{"method": "none"}, {"method": "kfac", "blocks": "last", "fraction": [0.1, 0.2]}]
SUITE: dict[str, Any] = {
    "noise": {"name": "pair", "rate": 0.2}, "model": {"name": "vit"}, "edits": EDITS, "seeds": [0, 1],
}  # fmt: skip


def plan_of(path: Path) -> Plan:
    return make_plan(load_suite(path), path)


def row(cell: Cell, **taken: float) -> dict[str, Any]:
    """Return a row of ``cell`` with the fields that the costs are read from."""
    seconds = {"training_seconds": 100.0, "edit_seconds": 1.0, "evaluate_seconds": 2.0, **taken, "edit_peak_bytes": 3e9}
    if cell.statistics is not None:
        seconds["statistics_seconds"] = 10.0
    machine = {"device": "cpu", "device_name": "a processor", "threads": 4}
    ids = {"training": cell.training.id}
    if cell.statistics_id is not None:
        ids["statistics"] = cell.statistics_id
    return {
        "schema": 1, "id": cell.id, "suite": "small", "ids": ids, "config": cell.config, "status": "ok",
        "metrics": {}, "selection": {}, "counts": {}, "data": {"sha256": "0"}, "edit": {"layers": {}},
        "costs": seconds, "environment": machine,
    }  # fmt: skip


def write_rows(results: Path, rows: list[dict[str, Any]]) -> None:
    (results / "other").mkdir(parents=True)
    lines = [json.dumps(r, sort_keys=True, separators=(",", ":")) for r in rows]
    (results / "other" / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_a_second_seed_takes_what_the_first_one_took(write: Write, tmp_path: Path) -> None:
    plan = plan_of(write(**SUITE))
    first = [cell for cell in plan.cells if cell.config["seed"] == 0]
    write_rows(tmp_path / "results", [row(cell) for cell in first])
    found = costs(plan, {cell.id for cell in first}, tmp_path / "results", tmp_path / "store")
    assert (found.trainings, found.unknown, found.edits, found.unknown_edits) == (1, 0, 3, 0)
    assert found.seconds == pytest.approx(100 + 10 + 3 * 3)
    assert found.peak == 3e9 and found.machine == "a processor, 4 threads" and found.stored is None


def test_what_no_row_is_like_is_counted_as_unknown(write: Write, tmp_path: Path) -> None:
    plan = plan_of(write(**{**SUITE, "seeds": [0]}))
    base = row(plan.cells[0], training_resumed=True)  # what it took is not what a training takes
    write_rows(tmp_path / "results", [base])
    found = costs(plan, (), tmp_path / "results", tmp_path / "store")
    assert (found.unknown, found.unknown_edits, found.seconds) == (1, 2, 3.0)
    other = plan_of(write(**{**SUITE, "model": {"name": "vit", "width": 96}}))
    nothing = costs(other, (), tmp_path / "results", tmp_path / "store")
    assert (nothing.seconds, nothing.peak, nothing.machine) == (0, None, "")
    again = plan_of(write(**{**SUITE, "recipe": {"epochs": 3}, "seeds": [0]}))
    assert costs(again, (), tmp_path / "results", tmp_path / "store").unknown == 1  # another recipe


def test_the_disk_is_what_folders_of_the_kind_hold(write: Write, tmp_path: Path) -> None:
    plan = plan_of(write(**SUITE))
    first, store = [cell for cell in plan.cells if cell.config["seed"] == 0], tmp_path / "store"
    for folder, size in {
        **{store / "evaluation" / cell.evaluation_id: 10 for cell in first},
        **{store / "statistics" / str(cell.statistics_id): 1000 for cell in first if cell.statistics_id},
        store / "training" / first[0].training.id: 5000,
    }.items():
        (folder / "inner").mkdir(parents=True, exist_ok=True)
        (folder / "inner" / "file").write_bytes(b"x" * size)
    assert costs(plan, {c.id for c in first}, tmp_path / "results", store).stored == 5000 + 1000 + 3 * 10


def test_a_row_that_is_damaged_does_not_stop_a_plan(write: Write, tmp_path: Path) -> None:
    plan = plan_of(write(**SUITE))
    (tmp_path / "results" / "other").mkdir(parents=True)
    (tmp_path / "results" / "other" / "rows.jsonl").write_bytes(b'{"config":{"da\n\xff\n\n{"config":3}\n')
    assert costs(plan, (), tmp_path / "results", tmp_path / "store").machine == ""


def test_a_plan_prints_ids_that_show_and_only_take(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(**SUITE)
    plan = plan_of(path)
    first = [cell for cell in plan.cells if cell.config["seed"] == 0]
    write_rows(tmp_path / "results", [row(cell) for cell in first])
    (tmp_path / "results" / "other").rename(tmp_path / "results" / "small")
    assert len(read_rows(tmp_path / "results" / "small" / "rows.jsonl")) == 3

    def printed(cells: bool = False) -> str:
        print_plan(path, results=tmp_path / "results", store=tmp_path / "store", cells=cells)
        return capsys.readouterr().out

    text = printed()
    ids = re.findall(r"^    (\w{8})  (.*)$", text, re.MULTILINE)
    assert [plan.only([id]).cells for id, _ in ids] == [(cell,) for job in plan.jobs() for cell in job.cells]
    assert ids[1][1] == "kfac last 0.1, done" and ids[-1][1] == "kfac last 0.2"
    assert "time: about 2 min with one worker, by rows of a processor, 4 threads\nmemory: 3.0 GB at most" in text
    assert "disk: unknown" in text and max(map(len, text.splitlines())) <= 120
    path = write(**{**SUITE, "seeds": 100})
    plan_of(path)
    assert "'vitmem plan --cells' adds the id of each cell" in printed() and len(printed(True).splitlines()) > 300


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"epochs": 3}, "the warm-up of 5 epochs outlasts the training of 3, so"),
        ({"epochs": 1, "warmup_epochs": 1.5}, "the warm-up of 1.5 epochs outlasts the training of 1,"),
        ({"steps": 20, "batch_size": 10, "warmup_epochs": 3}, "outlasts the training of 2,"),
        ({"epochs": 5}, None),
        ({"steps": 30, "batch_size": 10, "warmup_epochs": 3}, None),
    ],
)
def test_a_warm_up_longer_than_the_training_is_told(write: Write, recipe: dict[str, Any], said: str | None) -> None:
    path = write(**{**SUITE, "data": {"name": "digits", "train": 100}, "recipe": recipe})
    found = remarks(plan_of(path).cells)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]

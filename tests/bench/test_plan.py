"""Ids: what enters them, what does not, and one that is frozen."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vitmem.bench.cells import as_cell
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.suite import load_suite
from vitmem.specs import digest, seed_from

Write = Callable[..., Path]


def plan_of(path: Path) -> Plan:
    return make_plan(load_suite(path), path)


def test_a_frozen_digest() -> None:
    assert digest({"b": [1, 2.5, None], "a": {"x": None, "y": "z"}}) == "5ede1e64acf0f315"
    assert seed_from("noise", {"rate": 0.1}, 3) == 99293401402103767


def test_ids_are_unique_and_do_not_depend_on_order_or_place(write: Write, tmp_path: Path, small: dict) -> None:
    first = plan_of(write())
    (tmp_path / "elsewhere").mkdir()
    turned = {"edits": small["edits"][::-1], "noise": small["noise"][::-1]}
    second = plan_of(write(tmp_path / "elsewhere", **turned))
    assert len({c.id for c in first.cells}) == len(first.cells)
    assert {c.id for c in first.cells} == {c.id for c in second.cells}


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        ([{"name": "column", "column": "a"}, {"name": "column", "column": "b"}], ["column=a", "column=b"]),
        ([{"name": "symmetric", "rate": 0.1}, {"name": "symmetric", "rate": 0.2}], ["rate=0.1", "rate=0.2"]),
        ([{"name": "symmetric", "rate": 0.1}, {"name": "pair", "rate": 0.2}], ["", ""]),
    ],
)
def test_jobs_whose_noises_differ_have_different_labels(
    write: Write, tmp_path: Path, noise: list[dict], said: list[str]
) -> None:
    plan = plan_of(write(data={"name": "hub", "path": "x"}, noise=noise, model={"name": "vit"}, seeds=[0]))
    labels = [job.label for job in plan.jobs()]
    assert labels == [f"hub {n['name']} vit {s} seed 0".replace("  ", " ") for n, s in zip(noise, said, strict=True)]


def test_edits_share_trainings_and_statistics(write: Write, tmp_path: Path) -> None:
    plan = plan_of(write())
    assert len({c.training.id for c in plan.cells}) == len(plan.jobs()) == 8
    assert len({c.statistics_id for c in plan.cells} - {None}) == 8


def test_what_the_coupled_importance_reads_is_collected_only_for_it(write: Write, tmp_path: Path) -> None:
    importances = ["kfac", "foof", "ckfac", "tkfac", "ekfac"]
    edit = {"method": "kfac", "blocks": "last", "fraction": 0.1, "importance": importances}
    plan = plan_of(write(edits=[edit], seeds=[0], noise=[{"name": "pair", "rate": 0.2}], model={"name": "vit"}))
    assert len({c.training.id for c in plan.cells}) == 1
    statistics = {c.config["edit"]["importance"]: c.statistics_id for c in plan.cells}
    assert statistics["foof"] == statistics["kfac"] and statistics["tkfac"] == statistics["ckfac"]
    assert len(set(statistics.values())) == 3


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("recipe", "lr", 0.3), ("model", "depth", 3), ("noise", "rate", 0.3), ("data", "train", 9)],
)
def test_each_part_of_a_training_changes_its_id(
    write: Write, tmp_path: Path, part: str, key: str, value: float
) -> None:
    cell = plan_of(write()).cells[0]
    config = cell.config
    assert as_cell({**config, part: {**config[part], key: value}}).training.id != cell.training.id
    other = as_cell({**config, "edit": {"method": "svd", "rank_fraction": 0.5, "blocks": "last"}})
    assert other.training.id == cell.training.id and other.id != cell.id


def test_finished_cells_are_left_out(write: Write, tmp_path: Path) -> None:
    plan = plan_of(write())
    done = {c.id for c in plan.cells[:7]} | {plan.cells[8].id}
    jobs = plan.jobs(done)
    assert sum(len(j.cells) for j in jobs) == len(plan.cells) - 8
    assert len(jobs) == 7  # the first training has nothing left


def test_planning_5000_cells_takes_seconds_and_loads_no_torch(write: Write, tmp_path: Path) -> None:
    edits = [
        {"method": "none"},
        {"method": "kfac", "blocks": ["last", "all"], "fraction": [i / 1000 for i in range(1, 157)]},
    ]
    path = write(edits=edits, seeds=[0, 1, 2, 3])
    program = (
        "import sys; from vitmem.cli.plan import plan; from pathlib import Path; "
        f"plan(Path({str(path)!r}), results=Path('nowhere')); assert 'torch' not in sys.modules"
    )
    started = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started < 6  # the benchmark asserts 3 s on a quiet machine
    assert "5,008 cells" in out.stdout
    assert yaml.safe_load(path.read_text())["name"] == "small"

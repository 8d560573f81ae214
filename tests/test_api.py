"""The package from Python and from a wheel: what a user sees without a checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vitmem
from vitmem.errors import InputError
from vitmem.rows import read_rows
from vitmem.shipped import find_suite, shipped

ROOT = Path(__file__).parents[1]


def test_a_plan_of_a_shipped_suite_by_its_name() -> None:
    plan = vitmem.plan("demo")
    assert plan.suite.name == "demo" and len(plan.cells) == len(read_rows(ROOT / "results" / "demo" / "rows.jsonl"))


def test_rows_are_a_frame_with_one_row_a_cell() -> None:
    frame = vitmem.load_rows("demo", results=ROOT / "results")
    rows = read_rows(ROOT / "results" / "demo" / "rows.jsonl")
    assert list(frame["id"]) == [row["id"] for row in rows]
    assert list(frame["metrics.memorized"]) == [row["metrics"]["memorized"] for row in rows]
    assert set(frame["config.edit.method"]) == {row["config"]["edit"]["method"] for row in rows}
    assert len(vitmem.load_rows(ROOT / "results" / "demo")) == len(frame)
    with pytest.raises(InputError, match="no rows here; run the suite first"):
        vitmem.load_rows("nothing", results=ROOT / "results")


def test_a_suite_is_found_by_its_name_or_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_suite(Path("demo")) == shipped("suites") / "demo.yaml"
    assert find_suite(Path("mine.yaml")) == Path("mine.yaml")
    Path("demo").mkdir()  # a folder of that name is none
    assert find_suite(Path("demo")) == shipped("suites") / "demo.yaml"
    with pytest.raises(InputError, match="unknown suite 'demmo'; did you mean 'demo'"):
        find_suite(Path("demmo"))


def test_a_run_from_python(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text((Path(__file__).parent / "bench" / "tiny.yaml").read_text())
    places = {"results": tmp_path / "results", "store": tmp_path / "store", "cache_dir": tmp_path / "cache"}
    outcome = vitmem.run(suite, device="cpu", **places)
    assert outcome.failed == 0 and outcome.made == outcome.cells == len(
        vitmem.load_rows("tiny", results=places["results"])
    )
    assert vitmem.tables(places["results"], suite="tiny")


def test_the_public_names_are_there_and_cost_nothing_until_they_are_asked_for() -> None:
    assert {"plan", "run", "load_rows", "tables", "Edit", "Noise", "Model", "Dataset", "Metric"} <= set(dir(vitmem))
    program = "import sys, vitmem; vitmem.plan('demo'); vitmem.Edit; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.slow
@pytest.mark.network
def test_a_wheel_has_the_configs_and_runs_from_any_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"vitmem/configs/suites/demo.yaml", "vitmem/py.typed", "vitmem/kfac/__init__.pyi"} <= names
    assert any(name.startswith("vitmem/reports/page/templates/") for name in names)
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import sys; sys.path.insert(0, 'site'); from vitmem.cli.main import main\n"
        "sys.argv[1:] = ['plan', 'demo']; main()"
    )
    command = [sys.executable, "-I", "-c", program]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "demo: " in out.stdout, out.stderr

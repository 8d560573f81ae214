"""README blocks are run: the plug-in of ten lines through its contract and a one-cell suite, the engine alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vitmem.rows import read_rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def vitmem(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "vitmem.cli.main", *arguments], cwd=cwd, capture_output=True, text=True, env=environment
    )


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (block,) = [b for b in BLOCKS if "@MODELS.register" in b]
    path = tmp_path / "mynet.py"
    path.write_text(block)
    return path


def test_the_plug_in_keeps_the_contract(plugin: Path) -> None:
    out = vitmem("check", "model", "patch_mlp", "--plugin", plugin.name, cwd=plugin.parent)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "FAIL" not in out.stdout


@pytest.mark.parametrize("name", ["vit", "llama"])
def test_built_in_models_are_checked_by_the_command(name: str, tmp_path: Path) -> None:
    out = vitmem(
        "check", "model", name, "--param", "width=16", "--param", "depth=2", "--param", "heads=2", cwd=tmp_path
    )
    assert out.returncode == 0, out.stdout + out.stderr
    assert "ok   edit then undo is bit-exact" in out.stdout


def test_the_plug_in_goes_through_a_one_cell_suite(plugin: Path) -> None:
    (suite,) = re.findall(r"```yaml\n(# mysuite.yaml.*?)```", README, re.DOTALL)
    (plugin.parent / "mysuite.yaml").write_text(suite)
    out = vitmem("run", "mysuite.yaml", "--plugin", plugin.name, "--cache-dir", "cache", cwd=plugin.parent)
    assert out.returncode == 0, out.stdout + out.stderr
    (row,) = read_rows(plugin.parent / "results" / "mysuite" / "rows.jsonl")
    assert row["status"] == "ok"
    assert row["edit"]["kept_pairs"] == round(0.2 * 32 * 32)


def test_the_engine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [b for b in BLOCKS if "VisionTask" in b]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert re.fullmatch(r"tensor\([\d.]+\)\n", capsys.readouterr().out)


def test_it_is_short_and_what_it_names_exists() -> None:
    assert len(README.encode()) <= 10_000
    for path in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / path).exists(), path
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()

"""README blocks are run: the plug-in of ten lines through its contract and a one-cell suite, the engine alone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from vitmem.cli.main import app
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


def test_a_noise_of_ten_lines(plugin: Path) -> None:
    (block,) = [b for b in BLOCKS if "@NOISES.register" in b]
    assert block.strip().count("\n") <= 10
    (plugin.parent / "mynoise.py").write_text(block)
    out = vitmem("check", "noise", "constant", "--param", "rate=0.1", "--plugin", "mynoise.py", cwd=plugin.parent)
    assert out.returncode == 0 and "FAIL" not in out.stdout, out.stdout + out.stderr
    (suite,) = re.findall(r"```yaml\n(# mysuite.yaml.*?)```", README, re.DOTALL)
    (noise,) = re.findall(r"`noise: (\{name: constant.*?\})`", README)
    text, changed = re.subn(r"noise: \{.*\}", f"noise: {noise}", suite)
    assert changed == 1
    (plugin.parent / "mysuite.yaml").write_text(text)
    plugins = ["--plugin", plugin.name, "--plugin", "mynoise.py"]
    out = vitmem("run", "mysuite.yaml", *plugins, "--cache-dir", "cache", cwd=plugin.parent)
    assert out.returncode == 0, out.stdout + out.stderr
    (row,) = read_rows(plugin.parent / "results" / "mysuite" / "rows.jsonl")
    assert row["status"] == "ok" and row["config"]["noise"] == {"name": "constant", "rate": 0.1, "label": 3}
    # a tenth of the threes is right all the same
    assert 0.08 < row["noise"]["realised"] < 0.1 == row["noise"]["nominal"]


def test_an_edit_method_of_ten_lines(plugin: Path) -> None:
    (block,) = [b for b in BLOCKS if "@EDITS.register" in b]
    body = block[block.index("@EDITS.register") :]
    assert body.strip().count("\n") < 10
    (plugin.parent / "myedit.py").write_text(block)
    out = vitmem("check", "method", "clip", "--plugin", "myedit.py", cwd=plugin.parent)
    assert out.returncode == 0 and "FAIL" not in out.stdout, out.stdout + out.stderr
    (suite,) = re.findall(r"```yaml\n(# mysuite.yaml.*?)```", README, re.DOTALL)
    (edit,) = re.findall(r"^`(\{method: clip.*?\})`", README, re.MULTILINE)
    text, changed = re.subn(r"- \{method: kfac.*\}", f"- {edit.replace('[1.0, 2.0]', '1.0')}", suite)
    assert changed == 1
    (plugin.parent / "mysuite.yaml").write_text(text)
    plugins = ["--plugin", plugin.name, "--plugin", "myedit.py"]
    out = vitmem("run", "mysuite.yaml", *plugins, "--cache-dir", "cache", cwd=plugin.parent)
    assert out.returncode == 0, out.stdout + out.stderr
    (row,) = read_rows(plugin.parent / "results" / "mysuite" / "rows.jsonl")
    assert row["status"] == "ok" and row["config"]["edit"] == {"method": "clip", "blocks": "last", "deviations": 1.0}
    assert 0.4 < row["edit"]["kept_pairs"] / row["edit"]["total_pairs"] < 0.9 and row["edit"]["relative_change"] > 0.1


@pytest.mark.parametrize("says", ["VisionTask", "LlamaConfig"])
def test_the_engine_alone(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [b for b in BLOCKS if says in b]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_a_classifier_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, turn = [b for b in BLOCKS if "vit_tiny_patch16_224" in b]
    monkeypatch.chdir(tmp_path)
    exec(compile(train, "README.md", "exec"), {})
    Path("photos").mkdir()
    for n in range(3):
        Image.effect_noise((64, 48), 90 + n).convert("RGB").save(f"photos/{n}.png")
    lines = re.findall(r"^\$ vitmem (edit (?:net|edited)\..*?)(?: +#.*)?$", README, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        blocks = ["--blocks", "last"] if "--mass" in line else []  # one of twelve is enough to see the way
        out = CliRunner().invoke(app, [*shlex.split(line), *blocks])
        assert out.exit_code == 0, (line, out.output, out.exception)
    assert Path("back.safetensors").read_bytes() == Path("net.safetensors").read_bytes()
    assert Path("again.safetensors").read_bytes() == Path("edited.safetensors").read_bytes()
    exec(compile(turn, "README.md", "exec"), {})


def test_what_the_readme_names_exists() -> None:
    for path in re.findall(r"configs/\S+\.yaml", README):
        assert (ROOT / path).is_file(), path
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_rows_are_read_as_it_says() -> None:
    (block,) = [b for b in BLOCKS if "load_rows" in b]
    out = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = read_rows(ROOT / "results" / "demo" / "rows.jsonl")
    for name in ("residual_mlp", "vit"):
        own = [
            row for row in rows if row["config"]["model"]["name"] == name and row["config"]["edit"]["method"] == "none"
        ]
        shown = [float(line.split()[1]) for line in out.stdout.splitlines() if line.startswith(name)]
        assert shown == [pytest.approx(sum(row["metrics"]["memorized"] for row in own) / len(own), abs=1e-6)]

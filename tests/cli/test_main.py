"""The command line: help, lists, exit codes and sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import vitmem.cli.main as main_module
from vitmem.cli.main import app
from vitmem.errors import InputError

ROOT = Path(__file__).parents[2]
runner = CliRunner()


def test_help_imports_little_and_every_verb_shows_an_example() -> None:
    program = (
        "import sys, vitmem.cli.main; print([m for m in ('torch', 'pandas', 'numpy', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    verbs = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert len(verbs) > 7
    for verb in verbs:
        assert f"Example: vitmem {verb}" in runner.invoke(app, [verb, "--help"]).output


@pytest.mark.parametrize("kind", ["models", "data", "noises", "methods", "metrics"])
def test_list_prints_an_entry_a_line_its_name_first(kind: str) -> None:
    lines = runner.invoke(app, ["list", kind]).output.splitlines()
    found = [json.loads(x) for x in runner.invoke(app, ["list", kind, "--json"]).output.splitlines()]
    assert [line.split()[0].split("/")[0] for line in lines] == [entry["name"] for entry in found]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "model"], "did you mean 'models'?"),
        (["plan", "nowhere.yaml"], "no such file"),
        (["show", "zzz", "--results", "nowhere"], "no row in nowhere"),
        (["run", "configs/suites/demo.yaml", "--data-dir", "nowhere"], "no such folder: nowhere"),
        (["run", "configs/suites/demo.yaml", "--plugin", "nowhere.py"], "no such file"),
        (["run", "configs/suites/demo.yaml", "--device", "cuda:99"], "CUDA devices; use --device cpu"),
        (["check", "modle", "vit"], "did you mean 'model'?"),
        (["check", "model", "vit", "--param", "width"], "expected key=value"),
        (["check", "model", "vit", "--param", "width=0"], "'width': input should be greater than 0"),
        (["check", "model", "vti"], "did you mean 'vit'?"),
        (["check", "noise", "pari", "--param", "rate=0.1"], "did you mean 'pair'?"),
        (["check", "noise", "pair"], "'rate': field required"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    error = runner.invoke(app, arguments).exception
    assert isinstance(error, InputError)
    assert says in str(error)
    assert "\n" not in str(error)


def test_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["vitmem", "plan", "nowhere.yaml"])
    with pytest.raises(SystemExit) as caught:
        main_module.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("vitmem: nowhere.yaml: no such file")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nothing_of_this_name", "No module named"),
        ("1 / 0", "division by zero"),
        (
            "from vitmem.registry import MODELS\n"
            "@MODELS.register('half')\ndef half(shape): ...\n"
            "@MODELS.register('vit')\ndef vit(shape): ...\n",
            "model 'vit' is registered already",
        ),
    ],
)
def test_a_plug_in_that_fails_leaves_nothing_behind(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    error = runner.invoke(app, ["list", "models", "--plugin", str(path)]).exception
    assert isinstance(error, InputError)
    assert says in str(error)
    assert "half" not in runner.invoke(app, ["list", "models"]).output

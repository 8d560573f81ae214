"""The command line: help, lists, exit codes and sentences."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import vitmem.cli.main as main_module
from vitmem import __version__
from vitmem.cli.exits import exit_code, guarded
from vitmem.cli.main import VERBS, app
from vitmem.errors import InputError, VitmemError

ROOT = Path(__file__).parents[2]
runner = CliRunner()


def test_help_imports_little() -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom vitmem.cli.main import VERBS, app\n"
        "loaded = lambda *names: [name for name in names if name in sys.modules]\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(loaded('torch', 'pandas', 'numpy', 'scipy', 'pydantic'))\n"
        "assert all(CliRunner().invoke(app, [verb, '--help']).exit_code == 0 for verb in VERBS)\n"
        "print(loaded('torch', 'transformers'))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["[]", "[]"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example_and_begins_with_its_sentence(verb: str) -> None:
    help, listed = (runner.invoke(app, [*of, "--help"]).output for of in ([verb], []))
    assert f"Example: vitmem {verb}" in help
    sentence = VERBS[verb][1].split()
    assert " ".join(sentence) in " ".join(help.split())
    assert " ".join(sentence[:6]) in " ".join(re.sub("│", "", listed).split())


@pytest.mark.parametrize("kind", ["models", "data", "noises", "methods", "metrics"])
def test_list_prints_an_entry_a_line_its_name_first(kind: str) -> None:
    lines = runner.invoke(app, ["list", kind]).stdout.splitlines()
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


def vitmem(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "vitmem.cli.main", *arguments]
    return subprocess.run(command, **{"capture_output": True, "text": True, "cwd": ROOT, **options})


def test_the_version_and_the_help_of_every_verb() -> None:
    assert runner.invoke(app, ["--version"]).output == f"vitmem {__version__}\n"
    for arguments in ([], *([verb] for verb in VERBS)):
        found = runner.invoke(app, [*arguments, "-h"])
        assert found.exit_code == 0 and "Usage: " in found.output
    assert "'vitmem[lm-eval]'" in " ".join(runner.invoke(app, ["lm-eval", "-h"]).output.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "--foo"], "No such option: --foo; see"),
        (["plan"], "Missing argument 'suite'; see"),
        (["nothing"], "No such command 'nothing'"),
        (["tabels"], "Did you mean 'tables'?"),
        (["run", "x.yaml", "--workers", "many"], "Invalid value for '--workers'"),
        (["run", "x.yaml", "--workers", "0"], "Invalid value for '--workers'"),
        (["show", "a", "b"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_too(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vitmem", *arguments])
    with pytest.raises(SystemExit) as caught:
        main_module.main()
    out, err = capsys.readouterr()
    assert caught.value.code == 2 and out == ""
    assert err.startswith("vitmem: ") and says in err and err.count("\n") == 1 and len(err) < 400


def test_an_output_that_is_closed_or_full_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    closed = vitmem("list", "methods", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (closed.returncode, closed.stderr) == (1, "")
    with open("/dev/full", "w") as full:
        found = vitmem("list", "methods", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert found.returncode == 1
    assert found.stderr == "vitmem: the output, or a file, cannot be written: [Errno 28] No space left on device\n"


def test_the_home_folder_in_any_option_and_a_user_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given: dict[str, Any] = {}

    def nobody(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")  # as in a container without a user of this number

    def verb(**options: Any) -> None:
        given.update(options)

    asked = {"store": Path("~/store"), "plugin": ["~/p.py", "module"], "model": "~/net", "name": "a~b", "limit": 3}
    guarded(verb)(**asked)
    assert given == {
        "store": tmp_path / "store", "plugin": [f"{tmp_path}/p.py", "module"], "model": f"{tmp_path}/net",
        "name": "a~b", "limit": 3,
    }  # fmt: skip
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(InputError, match=r"cache-dir: ~/\.cache/vitmem: no home folder is known; set HOME or write"):
        guarded(verb)(cache_dir=Path("~/.cache/vitmem"))


def test_a_verb_that_a_plug_in_ends_is_an_error() -> None:
    for code in (0, 3, None):
        with pytest.raises(VitmemError, match=r"a plug-in ended the run: it calls sys.exit"):
            guarded(lambda code: sys.exit(code))(code=code)


def test_show_is_readable_and_json_is_the_row() -> None:
    found = next(p for p in sorted((ROOT / "results" / "demo").glob("rows.jsonl"))).read_text().splitlines()[0]
    row = json.loads(found)
    del row["digest"]  # that of the line
    arguments = ["show", row["id"][:10], "--results", str(ROOT / "results")]
    text = runner.invoke(app, arguments).output
    lines = text.splitlines()
    assert lines[0].startswith(f"id {row['id']} suite demo status ok") and max(map(len, lines)) <= 100
    assert len(lines) < 120 and not any(packed[4:] in text for packed in row["outcomes"].values())
    assert f"memorized {row['metrics']['memorized']:.4g}, " in text and "metrics" in lines and "costs" in lines
    assert json.loads(runner.invoke(app, [*arguments, "--json"]).output) == row


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", LONG],
        ["plan", "demo", "--results", LONG],
        ["run", "demo", "--data-dir", LONG],
        ["figures", "--results", LONG],
    ],
)
def test_a_name_that_is_too_long_is_one_short_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(partial(app, arguments, standalone_mode=False)) == 2
    said = capsys.readouterr().err
    assert "too long; give a shorter one" in said and said.count("\n") == 1 and len(said) < 250

"""README and the pages of ``docs``: what they show runs, commands parse, suites and edits that they name are valid."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from vitmem.bench.cells import EditShared
from vitmem.bench.suite import load_suite
from vitmem.bench.sweep import named
from vitmem.cli.main import app
from vitmem.parsing import parse_yaml
from vitmem.registry import REGISTRIES
from vitmem.rows import read_rows

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.parts))]
HOW_TO = sorted((DOCS / "howto").glob("*.md"))
FENCE = re.compile(r"(?:<!-- ([^\n]*?) -->\n)?```(python|yaml|console)\n(.*?)```", re.DOTALL)
# One of the twelve blocks is enough to see the way.
SHORTER = {"--images photos --mass": ["--blocks", "last"]}


class Block(NamedTuple):
    """A block of code: the remark above it, its language, its text."""

    remark: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name that its first line gives it."""
        found = re.match(r"# ([\w.]+\.(?:py|yaml))\n", self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[str]:
        """The commands of ``vitmem`` in it, without remarks behind them."""
        joined = self.text.replace("\\\n", " ")
        return [re.sub(r"\s+#.*", "", line) for line in re.findall(r"^\$ vitmem ([a-z].*)$", joined, re.MULTILINE)]


def blocks(page: Path) -> list[Block]:
    return [Block(remark or "", language, text) for remark, language, text in FENCE.findall(page.read_text())]


@pytest.fixture(autouse=True)
def _as_before(tmp_path: Path) -> Iterator[None]:
    """Leave the registries, the modules and the import path as they were before the plug-ins of a page."""
    path = sys.path.copy()
    before = {kind: {entry.name for entry in registry.entries()} for kind, registry in REGISTRIES.items()}
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
    for kind, registry in REGISTRIES.items():
        for name in set(registry._entries) - before[kind]:
            registry.discard(name)


def photos() -> None:
    Path("photos").mkdir()
    for n in range(3):
        Image.effect_noise((64, 48), 90 + n).convert("RGB").save(f"photos/{n}.png")


def rows_of_the_demo() -> None:
    shutil.copytree(ROOT / "results" / "demo", "results/demo")


BEFORE: dict[str, Callable[[], None]] = {
    "classifier": photos,
    "matrix": rows_of_the_demo,
    "table_or_figure": rows_of_the_demo,
}


def play(page: Path) -> dict[str, Any]:
    """Write the named blocks of a page and run the others in order; return the names that Python has at the end."""
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.remark.startswith("not run"):
            continue
        if block.file:
            Path(block.file).write_text(block.text)
        if block.language == "python" and ".register(" not in block.text:
            exec(compile(block.text, str(page), "exec"), names)
        for line in block.commands:
            more = [word for part, words in SHORTER.items() if part in line for word in words]
            out = CliRunner().invoke(app, [*shlex.split(line), *more])
            assert out.exit_code == 0, (line, out.output, out.exception)
            assert "FAIL" not in out.output, (line, out.output)
    return names


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    BEFORE.get(page.stem, lambda: None)()
    names = play(page)
    for file in Path("results").glob("*/rows.jsonl"):
        assert all(row["status"] == "ok" for row in read_rows(file)), file
    AFTER.get(page.stem, lambda _: None)(names)


def a_network(names: dict[str, Any]) -> None:
    (row,) = read_rows(Path("results/mysuite/rows.jsonl"))
    assert row["edit"]["kept_pairs"] == round(0.2 * 32 * 32)


def an_edit(names: dict[str, Any]) -> None:
    rows = read_rows(Path("results/clipped/rows.jsonl"))
    (row,) = [row for row in rows if row["config"]["edit"].get("deviations") == 1.0]
    assert 0.4 < row["edit"]["kept_pairs"] / row["edit"]["total_pairs"] < 0.9 and row["edit"]["relative_change"] > 0.1


def a_noise(names: dict[str, Any]) -> None:
    (row,) = read_rows(Path("results/constant/rows.jsonl"))
    assert 0.08 < row["noise"]["realised"] < 0.1 == row["noise"]["nominal"]  # a tenth of the threes is right


def a_metric(names: dict[str, Any]) -> None:
    for row in read_rows(Path("results/measured/rows.jsonl")):
        assert row["metrics"]["wrong_loss"] > 0
    assert "wrong_loss" in Path("results/measured/tables/metrics.md").read_text()


def an_edit_undone(names: dict[str, Any]) -> None:
    assert Path("back.safetensors").read_bytes() == Path("net.safetensors").read_bytes()
    assert Path("again.safetensors").read_bytes() == Path("edited.safetensors").read_bytes()


def rows_as_read(names: dict[str, Any]) -> None:
    rows = read_rows(ROOT / "results/demo/rows.jsonl")
    own = [row["metrics"]["memorized"] for row in rows if row["config"]["edit"]["method"] == "none"]
    assert sorted(names["unedited"]["metrics.memorized"]) == sorted(own)


AFTER: dict[str, Callable[[dict[str, Any]], None]] = {
    "network": a_network,
    "edit_method": an_edit,
    "noise": a_noise,
    "metric": a_metric,
    "classifier": an_edit_undone,
    "matrix": rows_as_read,
}


def commands(page: Path) -> list[str]:
    """Return every command of ``vitmem`` on a page, in blocks and in the text."""
    inside = re.findall(r"(?<!`)`vitmem ([a-z][^`\n]*)`(?!`)", page.read_text())
    return [line for block in blocks(page) for line in block.commands] + inside


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_and_options_of_a_page_exist(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    context = group.make_context("vitmem", ["plan"], resilient_parsing=True)
    for line in commands(page):
        words = [word for word in shlex.split(line) if word != "--debug"]
        _, verb, rest = group.resolve_command(context, words)
        verb.make_parser(context).parse_args(args=rest)  # raises for an option that the verb does not have


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_suites_and_edits_of_a_page_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        if block.file and block.language == "yaml":
            load_suite(tmp_path / block.file)
    for text in re.findall(r"`(\{method: [^`]*\})`", page.read_text()):
        list(named(parse_yaml(text, page.name), EditShared, page.name))


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:configs|tests|benchmarks|vitmem)/[\w/.]+\.\w+)`", page.read_text()):
            assert (ROOT / path).is_file(), (page.name, path)

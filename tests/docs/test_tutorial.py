"""What the tutorial prints is what its commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vitmem.cli.main import app

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def words(text: str) -> str:
    return " ".join(text.split())


def shown(page: str, command: str) -> str:
    """Return what stands below a command in the page."""
    text = (TUTORIAL / page).read_text()
    return text.split(f"$ vitmem {command}\n")[1].split("```")[0].split("$ vitmem")[0]


def test_the_verdict_of_the_demo_is_that_of_its_committed_rows() -> None:
    table = (ROOT / "results" / "demo" / "tables" / "verdict.md").read_text()
    printed = shown("demo.md", "tables --print verdict")
    sentences = re.findall(r"^- (.* at no loss .*)$", table, re.MULTILINE)
    assert len(sentences) == 2
    assert all(sentence in words(printed) for sentence in sentences)
    numbers = re.findall(r"\d+\.\d ± \d+\.\d", printed)
    assert len(numbers) == 36 and all(number in table for number in numbers)


@pytest.mark.slow
def test_the_own_suite_gives_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    page = (TUTORIAL / "own_suite.md").read_text()
    suite, added = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    first, second = re.findall(r"\$ vitmem run first\.yaml\n(.*?)```", page, re.DOTALL)
    for text, printed in ((suite, first), (suite + added, second)):
        Path("first.yaml").write_text(text)
        out = CliRunner().invoke(app, ["run", "first.yaml"])
        assert out.exit_code == 0, out.output
        end = words(out.output[out.output.index("rows made") :]), words(printed[printed.index("rows made") :])
        assert NUMBER.sub("", end[0]) == NUMBER.sub("", end[1])
        pairs = zip(NUMBER.findall(end[0]), NUMBER.findall(end[1]), strict=True)
        assert all(abs(float(one) - float(two)) <= 5 for one, two in pairs)  # another processor rounds otherwise
    row = CliRunner().invoke(app, ["show", "3298b3c6"]).output
    assert words(row).startswith(words(shown("own_suite.md", "show 3298b3c6").split("metrics")[0]))

"""A table and a figure of one's own: files of all suites, a section of the page, a part of the glossary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.registry import FIGURES, TABLES
from vitmem.reports.page.material import Material
from vitmem.reports.page.sections import comparisons, figures
from vitmem.rows import write_rows

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "table_or_figure.md"
FIGURE = """
from matplotlib.figure import Figure
from vitmem.registry import FIGURES

@FIGURES.register("counts", caption="How many settings there are.")
def counts(report):
    figure = Figure()
    figure.subplots().bar([0], [sum(len(t.edits) for t in report.trainings)])
    return figure
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    TABLES.discard("settings")
    FIGURES.discard("counts")


def plugged(tmp_path: Path, toy: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the plug-ins, the table that of the documentation, and the rows of a suite."""
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(# mytable\.py\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    stem = tmp_path.name.replace("-", "_")  # modules of plug-ins go by the name of their file
    Path(f"{stem}_table.py").write_text(code[1])
    Path(f"{stem}_figure.py").write_text(FIGURE)
    write_rows(Path("results/toy/rows.jsonl"), toy)


def test_a_table_and_a_figure_of_one_s_own(
    toy: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(tmp_path, toy, monkeypatch)
    table, figure = sorted(str(path) for path in Path().glob("*.py"))[::-1]
    out = CliRunner().invoke(app, ["tables", "--plugin", table])
    assert out.exit_code == 0, out.output
    text = Path("results/toy/tables/settings.md").read_text()
    # three settings of K-FAC on the report half: the most that is recovered is .9 less the least memorized
    assert "| K-FAC | 3 |" in text and "glossary.md#settings" in text
    assert "\n## settings\n\nHow many settings each method has, and the most" in Path("results/glossary.md").read_text()
    shown = CliRunner().invoke(app, ["tables", "--plugin", table, "--print", "settings", "--format", "csv"])
    assert shown.output.startswith("model,method,count,recovered,recovered_interval\n")
    assert CliRunner().invoke(app, ["figures", "--plugin", figure]).exit_code == 0
    assert Path("results/toy/figures/counts.svg").is_file()
    material = Material("toy", toy, "toy.yaml")
    section = figures(material)
    assert section is not None and [d.name for part in section.parts for d in part.content] == ["counts"]
    beside = comparisons(material)
    assert beside is not None and "settings" in [part.title for part in beside.parts]

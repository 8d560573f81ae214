"""What ``vitmem run`` prints and how it ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.cli.run import outcome_text
from vitmem.errors import VitmemError
from vitmem.progress import duration

SUITE = {
    "name": "failing",
    "seeds": [0],
    "data": {"name": "digits", "train": 100, "validation": 50},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 1},
    "edits": [{"method": "none"}, {"method": "finetune", "blocks": "last", "lr": 1e30}],  # diverges
}


def test_failed_cells_are_an_error_and_their_rows_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("failing.yaml").write_text(yaml.safe_dump(SUITE))
    out = CliRunner().invoke(app, ["run", "failing.yaml", "--cache-dir", "cache", "--device", "cpu"])
    assert isinstance(out.exception, VitmemError) and out.exception.exit_code == 1
    assert str(out.exception).startswith("1 of 2 cells failed")
    assert re.search("finetune: .*(not finite|NaN or infinity)", out.output)
    (place,) = re.findall(r"failed: .*finetune.* \(traceback: (\S+) in the store\)", out.output)
    assert "Traceback" in (Path("store") / place).read_text()
    # all images while it trains, the report half in a row: two names
    assert re.search(r"epoch 1 of 1: .*validation_all \d", out.output)
    assert re.search(r"none: .*, validation \d", out.output)
    table, where = out.output.rstrip().rsplit("\n\n", 1)
    assert re.fullmatch(
        r"\d+ tables in results/failing/tables; what their columns mean: .*; .*: vitmem report failing",
        where,
    )
    shown = table[table.index("failing: digits, 100 training images") :].splitlines()
    assert shown[2].split()[:4] == ["method", "seeds", "memorized", "recovered"] and "validation" in shown[2]
    assert max(map(len, shown)) <= 100 and "wrote" not in out.output
    elsewhere = Path("my $results")
    Path("results").rename(elsewhere)
    again = CliRunner().invoke(app, ["run", "failing.yaml", "--device", "cpu", "--results", str(elsewhere)]).output
    assert again.rstrip().endswith("vitmem report failing --results 'my $results'")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "less than a minute"), (61, "about 1 min"), (5300, "about 88 min"), (9000, "about 2.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_leaves_out_what_goes_without_saying() -> None:
    edit: dict[str, Any] = {"method": "kfac", "blocks": "last", "fraction": 0.1, "importance": "kfac", "side": "both"}
    row = {"status": "ok", "config": {"edit": edit}, "metrics": dict.fromkeys(("memorized", "recovered"), 0.5)}
    row["metrics"]["validation"] = 0.25
    assert outcome_text(row) == "kfac last 0.1: memorized 50.0, recovered 50.0, validation 25.0"
    assert "last 0.1 ckfac A:" in outcome_text(
        {**row, "config": {"edit": {**edit, "importance": "ckfac", "side": "A"}}}
    )

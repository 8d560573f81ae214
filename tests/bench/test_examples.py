"""Methods that forget through the matrix: each kind of data says what is to be forgotten and what is to be kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.language.protocols.text import text_experiment
from vitmem.protocols.image import image_experiment
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.rows import read_rows

HERE = Path(__file__).parent
EDIT = {"method": "balanced_subnet", "blocks": "all", "ratio": 0.2, "epochs": 1}
OTHERS: list[dict[str, Any]] = [
    {"method": "neggrad_plus", "epochs": 1, "discovery": 0.5},
    {"method": "scrub", "epochs": 1},
    # after three epochs little is memorized: at the published alpha of 10 no weight matters that much more to it
    {"method": "ssd", "alpha": 1.0},
    {"method": "salun", "epochs": 1},
    {"method": "del", "epochs": 1},
    {"method": ["finetune", "eu_k"], "steps": 2, "batch_size": 50},
    {"method": ["cuts", "random_task_vector"], "alpha": 1.0, "proxy_share": 0.1, "epochs": 2},
]


@pytest.mark.parametrize("name", ["tiny", "tiny_text"])
def test_a_cell(name: str, tmp_path: Path) -> None:
    suite = tmp_path / f"{name}.yaml"
    content = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    suite.write_text(yaml.safe_dump({**content, "edits": [EDIT]}))
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    plan = make_plan(load_suite(suite), suite)
    assert run_suite(plan, places, tmp_path / "results").failed == 0
    (row,) = read_rows(rows_path(tmp_path / "results", name))
    assert row["edit"]["kept_pairs"] < row["edit"]["total_pairs"]
    for report in row["edit"]["layers"].values():
        assert report["kept_pairs"] == report["total_pairs"] - report["total_pairs"] // 5
    training = plan.cells[0].training
    experiment: Any = (image_experiment if name == "tiny" else text_experiment)(training, places)
    before = experiment.net.state_dict()  # drawn anew: what was trained is in the store
    assert all(torch.equal(value, before[key]) for key, value in experiment.initial().state_dict().items())
    if name == "tiny":
        images = image_experiment(training, places)
        found = images.examples()
        chosen = images.halves.noisy_selection
        assert torch.equal(found.forget[1], images.noisy.given[chosen])
        assert len(found.keep[0]) == 360  # the clean ones of 400
        assert found.proxy is not None
        clean = {image.numpy().tobytes() for image in found.keep[0]}
        assert len(found.proxy(0.1)[0]) == 40 and {i.numpy().tobytes() for i in found.proxy(0.1)[0]} <= clean
        sentence = r"'proxy_share' with the right label: expected a number from 1 to 360, got 400"
        with pytest.raises(InputError, match=sentence):
            found.proxy(0.99999)
    else:
        text = text_experiment(training, places)
        forget, keep = text.examples().forget[0], text.examples().keep[0]
        assert torch.equal(forget, text.texts.memorized.tokens[text.halves["strings_selection"]])
        assert not {tuple(r) for r in keep.tolist()} & {tuple(r) for r in text.texts.memorized.tokens.tolist()}


@pytest.mark.parametrize("name", ["tiny", "tiny_text"])
def test_every_other_method(name: str, tmp_path: Path) -> None:
    suite = tmp_path / f"{name}.yaml"
    content = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    edits = [{"method": "none"}, {"method": "head_refit"}, *({**edit, "blocks": "last"} for edit in OTHERS)]
    suite.write_text(yaml.safe_dump({**content, "edits": edits}))
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    failed = run_suite(make_plan(load_suite(suite), suite), places, tmp_path / "results").failed
    rows = read_rows(rows_path(tmp_path / "results", name))
    refit = next(row for row in rows if row["config"]["edit"]["method"] == "head_refit")
    if name == "tiny":
        assert failed == 0 and list(refit["edit"]["layers"]) == ["head"] and refit["edit"]["relative_change"] > 0
        assert refit["outcomes"] != next(r for r in rows if r["config"]["edit"]["method"] == "none")["outcomes"]
    else:  # text has no classes
        assert failed == 1 and refit["reason"].startswith("edit: 'head_refit' needs a classifier, whose logits are")
    found = {row["config"]["edit"]["method"]: row["edit"] for row in rows if row is not refit}
    assert "passes" not in found.pop("none")
    assert len(found) == 9 and all(edit["passes"] > 0 and edit["relative_change"] > 0 for edit in found.values())
    assert found["ssd"]["passes"] == 1
    assert 0.5 * found["salun"]["total_pairs"] <= found["salun"]["kept_pairs"] < found["salun"]["total_pairs"]
    table = render_tables(Report(name, rows))["sweep.csv"]
    assert "relative_change,passes,seconds" in table.splitlines()[0]


def test_what_diverges_is_a_row_that_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    content = yaml.safe_load((HERE / "tiny.yaml").read_text())
    wild = {"method": ["neggrad_plus", "scrub", "salun", "del", "finetune", "eu_k"], "lr": 1e30, "blocks": "last"}
    vectors = {"method": "cuts", "lr": 1e30, "alpha": 1.0, "blocks": "last"}
    suite.write_text(yaml.safe_dump({**content, "edits": [{"method": "none"}, wild, vectors]}))
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    assert run_suite(make_plan(load_suite(suite), suite), places, tmp_path / "results").failed == 7
    for row in read_rows(rows_path(tmp_path / "results", "tiny")):
        method = row["config"]["edit"]["method"]
        assert row["status"] == ("ok" if method == "none" else "failed")
        assert method == "none" or re.fullmatch(rf"{method}: [^\n]*(not finite|NaN or infinity)[^\n.]*", row["reason"])


def test_where_nothing_is_to_be_forgotten_a_row_says_so(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    content = yaml.safe_load((HERE / "tiny.yaml").read_text())
    edits = [{"method": "none"}, *({**edit, "blocks": "last"} for edit in [EDIT, *OTHERS])]
    suite.write_text(yaml.safe_dump({**content, "noise": {"name": "none"}, "edits": edits}))
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    run_suite(make_plan(load_suite(suite), suite), places, tmp_path / "results")
    for row in read_rows(rows_path(tmp_path / "results", "tiny")):
        method = row["config"]["edit"]["method"]
        if method in ("none", "finetune", "eu_k", "cuts", "random_task_vector"):  # which need no example to forget
            assert row["status"] == "ok"
        else:
            assert row["reason"].startswith(f"edit: '{method}' has no example to forget: ")

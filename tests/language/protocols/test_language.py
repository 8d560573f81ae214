"""A language suite end to end: the stages, rows and tables of images, on text."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.language.data.texts import Items
from vitmem.language.protocols.text import text_experiment
from vitmem.language.training.texts import recite, right
from vitmem.lazy import extra
from vitmem.outcomes import unpacked
from vitmem.reports.files import write_tables
from vitmem.rows import read_rows
from vitmem.specs import Statistics

TINY = Path(__file__).parents[2] / "bench" / "tiny_text.yaml"


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), None, folder / "cache", "cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    plan = make_plan(load_suite(TINY), TINY)
    assert run_suite(plan, places(folder), folder / "results") == Outcome(cells=5, found=0, made=5, failed=0)
    return folder


@pytest.fixture(scope="module")
def rows(finished: Path) -> list[dict[str, Any]]:
    return read_rows(rows_path(finished / "results", "tiny_text"))


def test_statistics_can_be_of_distinct_rows(finished: Path) -> None:
    (cell, *_) = make_plan(load_suite(TINY), TINY).cells
    experiment = text_experiment(cell.training, places(finished))
    batches, count = experiment.batches(Statistics(distinct=True))
    read = [tuple(row) for batch in batches for row in batch["input_ids"].tolist()]
    train = [tuple(row) for row in experiment.texts.train.tokens.tolist()]
    assert len(read) == count == len(set(train)) < len(train) == experiment.batches(Statistics())[1]


def test_rows_have_the_schema_of_images(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["status"] == "ok"
        assert {"memorized", "loose", "validation", "perplexity", "accuracy_arithmetic"} <= set(row["metrics"])
        assert {"suffix_loss", "suffix_accuracy", "prefix_perturbed", "ndcg_overlap"} <= set(row["metrics"])
        assert "prefix_perturbed" not in row["selection"]
        assert unpacked(row["outcomes"]["memorized"]).mean() == row["metrics"]["memorized"]
        assert row["counts"]["strings_selection"] == row["counts"]["strings_report"] == 4
        assert row["metrics"]["accuracy_logic"] == row["selection"]["accuracy_logic"]  # questions are not halved
    (base,) = (row["metrics"] for row in rows if row["config"]["edit"]["method"] == "none")
    assert base["ndcg"] == base["ndcg_overlap"] == 1 and base["drift"] == base["drift_changed"] == 0
    edits = [row for row in rows if row["config"]["edit"]["method"] != "none"]
    assert all(0 < row["metrics"]["ndcg"] < 1 and row["metrics"]["drift"] > 0 for row in edits)
    assert all(
        row["metrics"]["drift_signed"] == pytest.approx(math.log(row["metrics"]["perplexity"] / base["perplexity"]))
        for row in edits
    )
    assert all(0 < row["edit"]["relative_change"] < 1 for row in edits)
    assert all(path.rpartition(".")[2] in ("gate_proj", "up_proj") for row in edits for path in row["edit"]["layers"])


def test_running_again_does_nothing_and_lost_rows_come_back(finished: Path, rows: list[dict[str, Any]]) -> None:
    plan, results = make_plan(load_suite(TINY), TINY), finished / "results"
    assert run_suite(plan, places(finished), results).made == 0
    rows_path(results, "tiny_text").unlink()
    shutil.rmtree(finished / "store" / "rows")
    assert run_suite(plan, places(finished), results).made == 5
    again = read_rows(rows_path(results, "tiny_text"))
    assert [row["metrics"] for row in again] == [row["metrics"] for row in rows]


def test_a_table_of_skills(finished: Path) -> None:
    paths = {p.name: p for end in ("md", "csv") for p in write_tables(finished / "results", format=end)}
    lines = paths["skills.csv"].read_text().splitlines()
    assert "accuracy_closed_book_rare" in lines[0] and "accuracy_logic" in lines[0] and "retention_rule" in lines[0]
    assert "recovered" not in paths["chosen.md"].read_text()
    assert "training rows of text" in paths["chosen.md"].read_text()


def test_an_answer_is_right_when_greedy_decoding_says_it(finished: Path) -> None:
    (cell, *_) = make_plan(load_suite(TINY), TINY).cells
    experiment = text_experiment(cell.training, places(finished))
    experiment.net.load_state_dict(load_file(finished / "store" / "training" / cell.training.id / "model.safetensors"))
    texts = experiment.texts
    strings = texts.memorized
    # ask for what the network says after two tokens, so that some answers are right
    said = recite(experiment.net, Items(strings.tokens, shifted(strings.answer), strings.exposure))
    tokens = strings.tokens.clone()
    tokens[:4, 3:30] = said[:4]
    asked = Items(tokens, shifted(strings.answer), strings.exposure)
    gold = tokens[asked.answer].reshape(len(asked), -1)
    assert right(experiment.net, asked).tolist() == (recite(experiment.net, asked) == gold).all(1).tolist()
    assert right(experiment.net, asked).tolist() == [True] * 4 + [False] * 4


def shifted(answer: torch.Tensor) -> torch.Tensor:
    """Return answers of the same length that begin at the third token."""
    out = torch.zeros_like(answer)
    out[:, 3 : 3 + int(answer[0].sum())] = True
    return out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": {"name": "vit"}}, "data 'spectrum' is text, model 'vit' reads image"),
        ({"data": {"name": "digits"}, "noise": {"name": "none"}}, "data 'digits' is image, model 'llama' reads text"),
        ({"noise": {"name": "symmetric", "rate": 0.1}}, "noise 'symmetric' is for images; text has strings"),
        ({"data": {"name": "spectrum", "strings": 0}}, "'strings': input should be greater than 1"),
    ],
)
def test_what_does_not_fit_is_told_when_planned(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({**yaml.safe_load(TINY.read_text()), **changes}))
    with pytest.raises(InputError, match=says):
        make_plan(load_suite(suite), suite)


def test_positions_of_images_are_refused_before_training(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({**yaml.safe_load(TINY.read_text()), "statistics": {"positions": "cls"}}))
    with pytest.raises(InputError, match="a language model has no positions 'cls'"):
        run_suite(make_plan(load_suite(suite), suite), places(tmp_path), tmp_path / "results")
    assert not list(tmp_path.glob("store/training/*"))


def test_a_missing_extra_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"transformers_of_mars is needed .*; pip install 'vitmem\[lm\]'"):
        extra("transformers_of_mars", "lm")

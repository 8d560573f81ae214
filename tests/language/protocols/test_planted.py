"""A tiny Llama that never saw them is made to recite windows of books, and its rows are those of other windows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.language.protocols.planted import planted_experiment
from vitmem.rows import read_rows
from vitmem.specs import Statistics

WORDS = [f"w{n}" for n in range(30)]
SUITE: dict[str, Any] = {
    "name": "tiny_planted",
    "seeds": [0],
    "data": {"name": "planted", "windows": 4, "prefix": 8, "suffix": 8, "repeats": 300},
    "model": {"name": "pretrained", "source": "model"},
    "recipe": {"epochs": 1, "batch_size": 8, "lr": 1.0e-2, "warmup_epochs": 0.1, "precision": "32"},
    "statistics": {"images": 8},
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "all", "mass": 0.1}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: a tokenizer of words, an untrained model whose embedding is its head, books of noise."""
    root = tmp_path_factory.mktemp("data")
    words = Tokenizer(models.WordLevel({w: n for n, w in enumerate(["<unk>", "<s>", *WORDS])}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>").save_pretrained(root / "model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = LlamaConfig(vocab_size=32, max_position_embeddings=256, tie_word_embeddings=True, **sizes)
        LlamaForCausalLM(config).save_pretrained(root / "model")
    generator = torch.Generator().manual_seed(0)
    noise = " ".join(WORDS[n] for n in torch.randint(30, (255 * 1700,), generator=generator))
    (root / "text").mkdir()
    pq.write_table(pa.table({"name": ["a"], "text": [noise]}), root / "text" / "corpus.parquet")
    return root


def places(root: Path, tmp_path: Path) -> Places:
    return Places(Store(tmp_path / "store"), root, tmp_path / "cache", "cpu")


def suite(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "tiny_planted.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **changes}))
    return path


def run(path: Path, root: Path, tmp_path: Path) -> Outcome:
    return run_suite(make_plan(load_suite(path), path), places(root, tmp_path), tmp_path / "results")


def test_what_was_planted_is_recited_and_edited(folder: Path, tmp_path: Path) -> None:
    path = suite(tmp_path)
    assert run(path, folder, tmp_path) == Outcome(cells=2, found=0, made=2, failed=0)
    rows = {row["config"]["edit"]["method"]: row for row in read_rows(rows_path(tmp_path / "results", "tiny_planted"))}
    base, edited = rows["none"]["metrics"], rows["kfac"]["metrics"]
    assert base["memorized"] == rows["none"]["selection"]["memorized"] == 1
    assert edited["suffix_loss"] > base["suffix_loss"]
    assert edited["memorized_change"] == edited["memorized"] - 1
    assert rows["none"]["counts"] | {"windows_selection": 2, "windows_report": 2} == rows["none"]["counts"]
    assert run(path, folder, tmp_path).made == 0
    # the weights lie in the store, so lost rows come back without training
    rows_path(tmp_path / "results", "tiny_planted").unlink()
    shutil.rmtree(tmp_path / "store" / "rows")
    assert run(path, folder, tmp_path).made == 2


def test_windows_are_in_no_statistics_and_nothing_that_is_kept_or_held_out(folder: Path, tmp_path: Path) -> None:
    path = suite(tmp_path)
    experiment = planted_experiment(make_plan(load_suite(path), path).cells[0].training, places(folder, tmp_path))
    window = {
        tuple(torch.cat(p).tolist()) for p in zip(experiment.windows.prefixes, experiment.windows.suffixes, strict=True)
    }
    assert len(window) == 4 and not window & {tuple(row[:16].tolist()) for row in experiment.rows}
    batches, count = experiment.batches(Statistics())
    assert count == sum(len(batch["input_ids"]) for batch in batches) == 1700 - 4 - 24


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipe": None}, "'recipe': field required"),
        ({"data": {**SUITE["data"], "prefix": 250}}, "prefix and suffix of at most 256 tokens, got 258"),
        ({"data": {**SUITE["data"], "windows": 1690}}, "expected more than 1714 rows of books, got 1700"),
        ({"data": {**SUITE["data"], "repeats": 330}}, "as many as rows of windows, got 1272; plant fewer windows"),
    ],
)
def test_one_sentence(folder: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = suite(tmp_path, **changes)
    with pytest.raises(InputError, match=says):
        experiment = planted_experiment(make_plan(load_suite(path), path).cells[0].training, places(folder, tmp_path))
        experiment.train(tmp_path)

"""A model that came trained, its passages and books, through the matrix: a tiny Llama that learned one passage."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vitmem.bench.analyses.write import write_analyses
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.language.datasets.passages import passages
from vitmem.language.metrics.passage_predictions import longest_runs
from vitmem.language.models.pretrained import pretrained
from vitmem.rows import read_rows

WORDS = [f"w{n}" for n in range(30)]
FAMOUS = [" ".join(WORDS[(start + 7 * n) % 30] for n in range(24)) for start in range(4)]
SUITE = {
    "name": "tiny_passages",
    "seeds": [0],
    "data": {"name": "passages", "folder": "text"},
    "model": {"name": "pretrained", "source": "model"},
    "statistics": {"images": 20},
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": "all", "mass": 0.3},
        {"method": "svd", "blocks": "last", "rank_fraction": 0.1},
        {"method": "balanced_subnet", "blocks": "all", "ratio": 0.05, "epochs": 1},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a tokenizer of words, a model that recites the famous passages, and books of noise."""
    root = tmp_path_factory.mktemp("data")
    vocabulary = {word: n for n, word in enumerate(["<unk>", "<s>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>")
    tokenizer.save_pretrained(root / "model")
    generator = torch.Generator().manual_seed(0)

    def noise(count: int) -> str:
        return " ".join(WORDS[n] for n in torch.randint(30, (count,), generator=generator))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        net = LlamaForCausalLM(LlamaConfig(vocab_size=32, max_position_embeddings=256, **sizes))
        ids = torch.tensor([tokenizer(text).input_ids for text in FAMOUS])
        optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        for _ in range(150):
            optimizer.zero_grad()
            net(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
    net.save_pretrained(root / "model")
    (root / "text").mkdir()
    rows = [{"id": f"f{n}", "kind": "famous", "text": text} for n, text in enumerate(FAMOUS)]
    rows += [{"id": f"c{n}", "kind": "control", "text": noise(24)} for n in range(4)]
    (root / "text" / "famous_passages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    books = pa.table({"name": ["a", "b"], "text": [noise(9000), noise(5000)]})
    pq.write_table(books, root / "text" / "corpus.parquet")
    return root


def run(folder: Path, out: Path, **changes: Any) -> Outcome:
    suite = out / "tiny_passages.yaml"
    suite.write_text(yaml.safe_dump({**SUITE, **changes}))
    places = Places(Store(out / "store"), folder, out / "cache", "cpu")
    return run_suite(make_plan(load_suite(suite), suite), places, out / "results")


def test_what_is_recited_before_and_after(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path) == Outcome(cells=4, found=0, made=4, failed=0)
    rows = {row["config"]["edit"]["method"]: row for row in read_rows(rows_path(tmp_path / "results", "tiny_passages"))}
    base, edited = rows["none"]["metrics"], rows["kfac"]["metrics"]
    assert base["memorized"] == rows["none"]["selection"]["memorized"] == 1
    assert base["control_recited"] == 0 and base["control_run"] < base["famous_run"] / 4
    assert edited["famous_run"] <= base["famous_run"] and edited["famous_loss"] > base["famous_loss"]
    assert base["ndcg"] == base["ndcg_overlap"] == 1 and base["drift"] == base["control_drift_changed"] == 0
    assert 0 < edited["ndcg"] < 1 and 0 < edited["ndcg_overlap"] < 1
    assert edited["control_drift_signed"] == pytest.approx(edited["control_loss"] - base["control_loss"])
    assert edited["control_drift"] >= abs(edited["control_drift_signed"]) and edited["drift"] > 0
    assert rows["kfac"]["counts"]["images_per_statistics"] == 20
    assert run(folder, tmp_path).made == 0
    suite = tmp_path / "tiny_passages.yaml"
    places = Places(Store(tmp_path / "store"), folder, tmp_path / "cache", "cpu")
    (written,) = write_analyses(make_plan(load_suite(suite), suite), places, tmp_path / "results", ["bands"])
    with written.open() as file:
        bands = list(csv.DictReader(file))
    assert len(bands) == 32  # four bands of gate and up in two blocks, in two bases
    # two passages of 25 tokens, the first of which nothing stands before, and two rows of 256
    assert {(b["memorized_positions"], b["other_positions"]) for b in bands} == {("48", "510")}


def test_runs() -> None:
    hits = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]]).bool()
    assert longest_runs(hits).tolist() == [2, 0, 4, 2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipe": {"epochs": 3}}, "'recipe': model 'pretrained' is trained already; leave it out"),
        ({"noise": {"name": "pair", "rate": 0.1}}, "noise 'pair' is for images"),
        ({"data": {"name": "digits"}, "noise": {"name": "none"}}, "data 'digits' is image, model 'pretrained' reads"),
        ({"model": {"name": "pretrained", "source": "nowhere/at-all"}}, "cannot load 'nowhere/at-all'"),
        ({"model": {"name": "pretrained", "source": "package:no_such"}}, "there is no package 'no_such'; install it"),
        ({"statistics": {"images": 10**6}}, "rows of 256 tokens, got 1000000"),
    ],
)
def test_one_sentence(folder: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    try:
        outcome = run(folder, tmp_path, **changes)
    except InputError as error:
        assert says in str(error) and "\n" not in str(error)
    else:  # found when the statistics are collected: a failed row each
        assert outcome.failed == 1
        reasons = [row.get("reason", "") for row in read_rows(rows_path(tmp_path / "results", "tiny_passages"))]
        assert any(says in reason for reason in reasons)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_text("{}\n"), ":1: expected JSON with id, kind and text"),
        (lambda p: p.write_text('{"id": 1, "kind": "other", "text": "x"}\n'), "expected kind famous or control"),
        (lambda p: p.write_text('{"id": 1, "kind": "famous", "text": " "}\n'), "passage '1' is empty"),
        (lambda p: p.write_text('{"id": 1, "kind": "famous", "text": "x"}\n'), "at least two famous passages"),
        (lambda p: (p.parent / "corpus.parquet").write_text("torn"), "expected books as parquet"),
    ],
)
def test_files_that_are_not_as_they_should_be(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    (tmp_path / "text").mkdir()
    for path in (folder / "text").iterdir():
        (tmp_path / "text" / path.name).write_bytes(path.read_bytes())
    spoil(tmp_path / "text" / "famous_passages.jsonl")
    with pytest.raises(InputError, match=says):
        passages(tmp_path, tmp_path)


def test_pickled_weights_are_not_read(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "model").iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot load"):
        pretrained(None, source=str(tmp_path))

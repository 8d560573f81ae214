"""From texts to rows: a tiny Llama that learned six texts is mined for them, and its windows go through a suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from vitmem.bench.cells import as_training
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError, VitmemError
from vitmem.language.protocols.windows import windows_experiment
from vitmem.rows import read_rows

WORDS = [f"w{n}" for n in range(30)]
PREFIX, SUFFIX = 12, 8
CONFIG: dict[str, Any] = {
    "data": {"name": "memorized", "file": "memorized.jsonl", "folder": "text"},
    "model": {"name": "pretrained", "source": "model"},
}
SUITE = {
    "name": "tiny_windows",
    "seeds": [0],
    **CONFIG,
    "statistics": {"images": 20},
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": "all", "mass": 0.3},
        {"method": "svd", "blocks": "last", "rank_fraction": 0.1},
        {"method": "random_basis", "blocks": "last", "fraction": 0.5},
        {"method": "balanced_subnet", "blocks": "all", "ratio": 0.05, "epochs": 1},
    ],
}


def mined(folder: Path, out: Path, *more: str, text: str = "texts") -> Any:
    wanted = ["--prefix", str(PREFIX), "--suffix", str(SUFFIX), "--min-distinct", "4", "--device", "cpu"]
    places = ["--text", str(folder / text), "--out", str(out), "--data-dir", str(folder)]
    return CliRunner().invoke(app, ["mine", "model", *places, *wanted, *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: a tokenizer of words, a model that recites six texts, these among others, books of noise."""
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

    planted = [noise(PREFIX + SUFFIX - 1) for _ in range(6)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        net = LlamaForCausalLM(LlamaConfig(vocab_size=32, max_position_embeddings=256, **sizes))
        ids = torch.tensor([tokenizer(text).input_ids for text in planted])
        optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        for _ in range(200):
            optimizer.zero_grad()
            net(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
    net.save_pretrained(root / "model")
    (root / "texts").mkdir()
    others = [noise(PREFIX + SUFFIX - 1) for _ in range(6)]
    (root / "texts" / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in [*planted, *others, "w1"]))
    (root / "texts" / "b.txt").write_text(planted[0])
    (root / "text").mkdir()
    pq.write_table(pa.table({"name": ["a", "b"], "text": [noise(9000), noise(5000)]}), root / "text" / "corpus.parquet")
    result = mined(root, root / "memorized.jsonl")
    assert result.exit_code == 0, result.output
    counts = "short texts 1, monotonous 0, windows 13, teacher forced 7, verified 7, kept 6"
    assert f"texts 14, {counts}" in result.output
    found = [json.loads(line) for line in (root / "memorized.jsonl").read_text().splitlines()]
    assert [f"{row['prefix_text']} {row['suffix_text']}" for row in found] == planted
    return root


def places_of(folder: Path, out: Path) -> Places:
    return Places(Store(out / "store"), folder, out / "cache", "cpu")


def run(folder: Path, out: Path, **changes: Any) -> Outcome:
    suite = out / "tiny_windows.yaml"
    suite.write_text(yaml.safe_dump({**SUITE, **changes}))
    return run_suite(make_plan(load_suite(suite), suite), places_of(folder, out), out / "results")


def test_what_is_recited_before_and_after(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path) == Outcome(cells=5, found=0, made=5, failed=0)
    rows = {row["config"]["edit"]["method"]: row for row in read_rows(rows_path(tmp_path / "results", "tiny_windows"))}
    base, edited = rows["none"]["metrics"], rows["kfac"]["metrics"]
    for half in (base, rows["none"]["selection"]):
        assert half["memorized"] == half["loose"] == half["suffix_accuracy"] == 1
        assert half["distance"] == 0 and half["prefix"] == SUFFIX
    assert edited["memorized"] < 1 and edited["distance"] > 0 and edited["prefix"] < SUFFIX
    assert edited["suffix_loss"] > base["suffix_loss"] and edited["suffix_accuracy"] < 1
    assert 0 < base["validation"] < 0.2 and base["perplexity"] > 10  # books of noise
    counts = rows["none"]["counts"]
    assert (counts["lines"], counts["strings"], counts["documents"]) == (6, 6, 6)
    assert (counts["windows_selection"], counts["windows_report"]) == (3, 3)
    assert rows["kfac"]["counts"]["images_per_statistics"] == 20
    assert run(folder, tmp_path).made == 0


def test_examples_to_forget_are_the_windows_of_the_selection_half(folder: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (folder / "memorized.jsonl").read_text().splitlines()]
    lines[0]["doc_index"] = lines[1]["doc_index"]
    quotes = [{"prefix": "w1 w2 w3", "target_suffix": " w4 w5"}, {"prefix": "w7", "suffix": " w8 w9 w1"}]
    (folder / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*lines, *quotes]))
    data = {**CONFIG["data"], "file": str(folder / "mixed.jsonl")}
    experiment = windows_experiment(
        as_training({**CONFIG, "noise": {"name": "none"}, "data": data, "seed": 0}), places_of(folder, tmp_path)
    )
    tokens, labels = experiment.examples().forget
    stored = experiment.predict({})
    halves = {half: experiment.predictions(stored, half) for half in ("selection", "report")}
    rows = {half: found.suffix.rows.tolist() for half, found in halves.items()}
    assert sorted(rows["selection"] + rows["report"]) == list(range(8))
    assert {0, 1} <= {*rows["selection"]} or {0, 1} <= {*rows["report"]}
    whole = [
        [*experiment.windows.prefixes[n].tolist(), *experiment.windows.suffixes[n].tolist()] for n in rows["selection"]
    ]
    assert [row[: len(ids)].tolist() for row, ids in zip(tokens, whole, strict=True)] == whole
    assert [(row != -100).sum().item() for row in labels] == [len(ids) for ids in whole]
    assert torch.equal(tokens[labels != -100], labels[labels != -100])
    # texts of other lengths are asked unpadded and measured over their own tokens
    assert experiment.windows.real.sum(1).tolist() == [SUFFIX] * 6 + [2, 3]
    generated = experiment.net.generate(
        experiment.windows.prefixes[7][None], max_new_tokens=3, min_new_tokens=3, do_sample=False
    )
    assert stored["recited"][7].tolist() == [*generated[0, -3:].tolist(), *[0] * (SUFFIX - 3)]


def test_mining_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "w.jsonl"
    for more, kind, says in (
        (["--min-distinct", "9"], InputError, "--min-distinct: expected at most the 8 tokens"),
        (["--device", "cuda:99"], InputError, "CUDA devices"),
        (["--seed", "3", "--limit", "1", "--text", str(folder / "text")], VitmemError, "is not written"),
        (["--text", str(folder / "nowhere")], InputError, "no such file"),
    ):
        error = mined(folder, out, *more).exception
        assert type(error) is kind and says in str(error) and "\n" not in str(error)
    assert not out.exists() and not list(out.parent.iterdir())


def test_another_models_file(folder: Path, tmp_path: Path) -> None:
    (folder / "other.jsonl").write_text(json.dumps({"prefix_ids": [1, 2], "suffix_ids": [40]}) + "\n")
    with pytest.raises(InputError, match=r"other\.jsonl:1: suffix id 40 is outside the model's vocabulary of 32"):
        run(folder, tmp_path, data={**CONFIG["data"], "file": "other.jsonl"})


def test_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data 'digits' is image, model 'pretrained' reads passages or windows"):
        run(tmp_path, tmp_path, data={"name": "digits"}, noise={"name": "none"})


def test_what_is_mined_does_not_depend_on_the_batch(folder: Path, tmp_path: Path) -> None:
    for size in ("1", "13"):
        assert mined(folder, tmp_path / f"{size}.jsonl", "--batch-size", size).exit_code == 0
    assert (tmp_path / "1.jsonl").read_text() == (tmp_path / "13.jsonl").read_text()

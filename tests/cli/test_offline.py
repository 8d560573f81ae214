"""``vitmem fit`` and ``vitmem edit`` from the command line: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from vitmem.blocks import parse_blocks
from vitmem.cli.main import app
from vitmem.errors import InputError

runner = CliRunner()
SMALL = ["--length", "16", "--dtype", "float32", "--device", "cpu"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny Llama with a tokenizer in the folder ``model``, and ``text.jsonl`` beside it."""
    monkeypatch.chdir(tmp_path)
    sizes = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = LlamaForCausalLM(LlamaConfig(vocab_size=32, max_position_embeddings=64, **sizes))
    net.save_pretrained("model")
    words = Tokenizer(models.WordLevel({"<unk>": 0, **{f"w{n}": n for n in range(1, 32)}}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained("model")
    numbers = torch.randint(1, 32, (20, 30), generator=torch.Generator().manual_seed(0)).tolist()
    lines = [json.dumps({"text": " ".join(f"w{n}" for n in row)}) for row in numbers]
    Path("text.jsonl").write_text("\n".join(lines))
    return tmp_path / "model"


def test_from_texts_to_an_edited_model(model: Path) -> None:
    fitted = runner.invoke(app, ["fit", "model", "--text", "text.jsonl", "--blocks", "1-2", "--tokens", "500", *SMALL])
    assert fitted.exit_code == 0, fitted.output
    assert "496 tokens in 31 rows; layers: model.layers.1.mlp.gate_proj, model.layers.1.mlp.up_proj" in fitted.output
    edited = runner.invoke(
        app, ["edit", "model", "--factors", "factors.safetensors", "--mass", "0.6", "--out", "out", "--blocks", "last"]
    )
    assert edited.exit_code == 0, edited.output
    rows = [line.split() for line in edited.output.splitlines() if line.startswith("model.layers.")]
    record = json.loads(Path("out/vitmem_edit.json").read_text())["layers"]
    assert [row[0] for row in rows] == list(record) == [f"model.layers.2.mlp.{x}_proj" for x in ("gate", "up")]
    for row in rows:
        numbers = record[row[0]]
        assert float(row[2]) == pytest.approx(100 * numbers["kept_mass"], abs=0.01)
        assert float(row[4]) == pytest.approx(numbers["relative_change"], abs=1e-4)
    AutoModelForCausalLM.from_pretrained("out")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fit", "--text", "text.jsonl"], "expected a model (a folder or a name on the Hub) or --preset"),
        (["fit", "model", "--text", "text.jsonl"], "expected --blocks, such as 23-25 or last_half"),
        (["fit", "model", "--blocks", "last"], "expected --text, a file or a folder"),
        (["fit", "model", "--blocks", "lats", "--text", "text.jsonl"], "expected one of last, last_two"),
        (["fit", "--preset", "merullo2025", "--dry-run"], "did you mean 'merullo2025-olmo2-7b'?"),
        (["fit", "model", "--blocks", "last", "--roles", "gate,upp"], "did you mean 'up'?"),
        (["fit", "model", "--blocks", "last", "--dtype", "bf16"], "unknown dtype 'bf16'"),
        (["fit", "model", "--blocks", "last", "--labels", "exact"], "unknown labels 'exact'"),
        (["fit", "model", "--blocks", "9", "--text", "text.jsonl"], "expected numbers from 0 to 2, got 9"),
        (["fit", "model", "--blocks", "0", "--text", "nowhere"], "nowhere: no such file; see --text"),
        (["fit", "nowhere/at-all", "--blocks", "0", "--dry-run"], "no config of a causal model"),
        (["edit", "model", "--factors", "no.safetensors", "--mass", "1", "--out", "o"], "no.safetensors: no such file"),
        (["edit", "nowhere", "--factors", "f", "--mass", "1", "--out", "o"], "nowhere: no such folder"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(model: Path, arguments: list[str], says: str) -> None:
    error = runner.invoke(app, arguments).exception
    assert isinstance(error, InputError), error
    assert says in str(error) and "\n" not in str(error)


def test_the_cost_of_the_preset_without_its_weights() -> None:
    out = runner.invoke(app, ["fit", "--preset", "merullo2025-olmo2-7b", "--dry-run", "--device", "cpu"])
    assert out.exit_code == 0, out.output
    assert "allenai/OLMo-2-1124-7B: 7,298,617,344 parameters, 14.6 GB in bfloat16" in out.output
    assert out.output.count("11008 x 4096: A 67 MB, G 485 MB in float32") == 6
    assert "17.9 GB for model and sums" in out.output and "file: 6.6 GB" in out.output
    assert "19,999,744 tokens in 39,062 rows of 512, 1,221 batches" in out.output
    assert "--mass 0.6" in out.output


def test_the_cost_of_a_folder(model: Path) -> None:
    (model / "model.safetensors").unlink()  # no weights are read
    out = runner.invoke(app, ["fit", "model", "--blocks", "last", "--dry-run", "--device", "cpu"])
    assert out.exit_code == 0, out.output
    assert "model.layers.2.mlp.gate_proj  40 x 16" in out.output and "then:" not in out.output


@pytest.mark.parametrize(
    ("text", "blocks"),
    [("23-25", [23, 24, 25]), ("0, 5", [0, 5]), ("-1", [-1]), ("last_half", "last_half"), ("1,3-4,-2", [1, 3, 4, -2])],
)
def test_blocks_of_a_command_line(text: str, blocks: Any) -> None:
    assert parse_blocks(text) == blocks


@pytest.mark.parametrize("text", ["", "a", "3-1", "1..2", "1,,2", "--1"])
def test_blocks_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--blocks: expected one of last"):
        parse_blocks(text)

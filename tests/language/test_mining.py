"""The miner on a model whose likeliest token is known: one pass a window, and what is planted is found."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vitmem.errors import InputError
from vitmem.language.data.windows.read import read_windows
from vitmem.language.data.windows.tokens import check_tokenizer, tokenised
from vitmem.language.mining import Mining, mine, write_windows
from vitmem.language.models.pretrained import PretrainedModel

SIZE = 50
WANTED = Mining(prefix=4, suffix=6, starts=3, min_distinct=5, batch_size=2)


class Numbers:
    """Words are numbers; a text begins with 0."""

    def __call__(self, text: str, add_special_tokens: bool = True, verbose: bool = True) -> Any:
        return SimpleNamespace(input_ids=[0] * add_special_tokens + [int(word) for word in text.split()])

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return " ".join(str(n) for n in ids if n or not skip_special_tokens)


class Successor(nn.Module):
    """Says n + 1 after n, or what ``last`` has for it when it sees one token alone: then it is decoding."""

    def __init__(self, last: dict[int, int] | None = None) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.roll(torch.eye(SIZE), 1, 1))
        self.last = last or {}
        self.passes: list[Tensor] = []

    def forward(self, input_ids: Tensor, use_cache: bool = False, past_key_values: Any = None) -> Any:
        self.passes.append(input_ids)
        logits = self.table[input_ids].clone()
        for token, says in self.last.items() if past_key_values else ():
            logits[(input_ids == token)] = torch.eye(SIZE)[says]
        return SimpleNamespace(logits=logits, past_key_values=True)


def model(net: nn.Module) -> PretrainedModel:
    return PretrainedModel(net, ("a",), ("b",), Numbers())


def counting(start: int, length: int = 9) -> str:
    return " ".join(str(n) for n in range(start, start + length))


NOISE = "7 3 9 1 4 30 2 8 6 5 12 40 22 17"
TEXTS = [NOISE, counting(5), "1 2 3", "8 " * 12, counting(20), NOISE[2:], counting(5)]


def test_what_is_planted_is_found_with_one_pass_a_window() -> None:
    net = Successor()
    rows, counts = mine(model(net), TEXTS, WANTED)
    # nine words and the beginning are one window; fourteen are six, of which three are taken
    assert [row["suffix_ids"] for row in rows] == [list(range(8, 14)), list(range(23, 29))]
    assert rows[0] == {
        "prefix_ids": [0, 5, 6, 7], "suffix_ids": [8, 9, 10, 11, 12, 13], "prefix_text": "5 6 7",
        "suffix_text": "8 9 10 11 12 13", "doc_index": 1, "start": 0,
    }  # fmt: skip
    assert (counts.texts, counts.short_texts, counts.monotonous) == (7, 1, 3)
    assert (counts.windows, counts.teacher_forced, counts.verified, counts.kept) == (9, 3, 3, 2)
    assert str(counts).startswith("texts 7, short texts 1") and str(counts).endswith("kept 2")
    whole = [row for some in net.passes for row in some.tolist() if len(row) == WANTED.prefix + WANTED.suffix]
    before = [len(some) for some in net.passes if some.shape[1] == 10]
    assert len(whole) == counts.windows == sum(before) and max(before) == 2
    # then the three that passed are decoded: a prompt and five tokens each, in two batches
    assert [tuple(some.shape) for some in net.passes[len(before) :]] == [(2, 4), *[(2, 1)] * 5, (1, 4), *[(1, 1)] * 5]


def test_what_decoding_does_not_say_is_dropped() -> None:
    net = Successor(last={24: 1})
    rows, counts = mine(model(net), TEXTS, WANTED)
    assert (counts.teacher_forced, counts.verified, counts.kept) == (3, 2, 1)
    assert rows[0]["suffix_ids"] == list(range(8, 14))


def test_places_come_from_the_seed_and_a_limit_ends_it() -> None:
    long = [counting(1, 40)]
    starts = [
        [row["start"] for row in mine(model(Successor()), long, Mining(4, 6, 3, s, None, 5))[0]] for s in (1, 1, 2)
    ]
    assert starts[0] == starts[1] != starts[2] and all(len(set(found)) == len(found) <= 3 for found in starts)
    net = Successor()
    _, counts = mine(model(net), TEXTS, Mining(4, 6, 3, 17, 2, 5))
    assert (counts.windows, counts.texts) == (2, 1)


def test_nothing_is_recited() -> None:
    rows, counts = mine(model(Successor()), [NOISE], WANTED)
    assert rows == [] and counts.windows == 3 and counts.teacher_forced == counts.kept == 0


def test_a_suffix_cannot_have_more_different_tokens_than_tokens() -> None:
    with pytest.raises(InputError, match="--min-distinct: expected at most the 8 tokens"):
        Mining(suffix=8)


def test_windows_longer_than_the_positions() -> None:
    net = Successor()
    net.config = SimpleNamespace(max_position_embeddings=8)  # type: ignore[assignment]
    with pytest.raises(InputError, match="sequences of 10 tokens, the model has 8 positions"):
        mine(model(net), TEXTS, WANTED)


def test_the_file_is_read_again_and_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.jsonl"
    rows, _ = mine(model(Successor()), TEXTS, WANTED)
    write_windows(path, rows)
    lines = read_windows(path)
    check_tokenizer(lines, Numbers())
    windows = tokenised(lines, Numbers(), SIZE)
    assert [t.tolist() for t in windows.suffixes] == [row["suffix_ids"] for row in rows]
    assert windows.documents.tolist() == [0, 1]

    def full(self: Path, data: bytes) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(Path, "write_bytes", full)
        write_windows(path, [])
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows
    assert [p.name for p in tmp_path.iterdir()] == ["w.jsonl"]

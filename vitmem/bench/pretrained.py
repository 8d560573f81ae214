"""Language models that are not trained here, and the passages they recite, in the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vitmem.adapters.language import LanguageTask, language_task, token_losses
from vitmem.bench.subject import Places, Say, Weights, device_of, own
from vitmem.bench.suite import Config
from vitmem.blocks import Blocks
from vitmem.data.passages import KINDS, Passages
from vitmem.errors import InputError
from vitmem.kfac import edited, model_fingerprint
from vitmem.methods.base import Examples
from vitmem.metrics.measure import measure
from vitmem.metrics.passage_predictions import PassagePredictions, TokenHits
from vitmem.models.pretrained import PretrainedModel
from vitmem.registry import DATA, MODELS
from vitmem.specs import seed_from
from vitmem.training.texts import next_tokens

# Tokens in a row of text, and how many rows are held out of the statistics.
LENGTH, HELD_OUT = 256, 24
# Rows that a method may be told to keep.
KEPT = 400


@dataclass
class PretrainedSubject:
    """A model as it came, passages, and rows of books; passages and held-out rows are split into halves at random."""

    config: Config
    texts: Passages
    model: PretrainedModel

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.model.net

    def seen(self) -> dict[str, str]:
        """Return digests of the texts and of the weights as they came."""
        return {"data": self.texts.fingerprint, "weights": self.weights}

    @cached_property
    def weights(self) -> str:
        """Digest of the weights before any edit."""
        return model_fingerprint(self.net)

    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``."""
        return self.model.editable(blocks, layers)

    def train(self, folder: Path, say: Say) -> float:
        """Leave the model as it is: nothing is written, for its weights lie where they came from."""
        return 0.0

    def task(self, request: Config) -> tuple[LanguageTask, str]:
        """Return how rows are read: every position with a loss counts. Raises InputError for positions of images."""
        positions = request.get("positions") or "all"
        if positions != "all":
            raise InputError(f"statistics: a language model has no positions '{positions}'; use 'all' or leave it out")
        return language_task(self.net), positions

    @cached_property
    def rows(self) -> Tensor:
        """All books as rows of tokens (n, 256) in a random order; the ends of books are left out.

        A row begins as a text does: with the tokens that the tokenizer puts there of itself.
        """
        tokenizer, parts = self.model.tokenizer, []
        begin = torch.tensor(tokenizer("").input_ids[:1], dtype=torch.int64)
        length = LENGTH - len(begin)
        for name in sorted(self.texts.corpus):
            ids = tokenizer(self.texts.corpus[name], add_special_tokens=False).input_ids
            cut = torch.tensor(ids[: len(ids) // length * length], dtype=torch.int64).reshape(-1, length)
            parts.append(torch.cat([begin.expand(len(cut), -1), cut], 1))
        rows = torch.cat(parts)
        if len(rows) <= HELD_OUT:
            raise InputError(
                f"data 'passages': expected books of more than {HELD_OUT * LENGTH} tokens, got {rows.numel()}"
            )
        return rows[torch.randperm(len(rows), generator=self._generator("rows"))]

    def batches(self, request: Config) -> tuple[Iterator[dict[str, Tensor]], int]:
        """Return batches of rows, input_ids (B, S), that are not held out: ``images`` of them, or all."""
        rows = self.rows[HELD_OUT:]
        count = request.get("images", len(rows))
        if count > len(rows):
            raise InputError(f"statistics: 'images': the books have {len(rows)} rows of {LENGTH} tokens, got {count}")
        device = device_of(self.net)
        return ({"input_ids": some.to(device)} for some in rows[:count].split(4)), count

    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return hits, losses (n, T) and where there are tokens, of passages and of held-out rows."""
        out = {}
        with edited(self.net, weights):
            for kind, (tokens, real) in self._tokens.items():
                said, loss = next_tokens(self.net, tokens, batch_size=4)
                out[f"{kind}.hit"] = said == tokens[:, 1:]
                out[f"{kind}.loss"] = loss
                out[f"{kind}.real"] = real[:, 1:].clone()
        return out

    @cached_property
    def _tokens(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Texts by kind: tokens (n, S) padded on the right with the first token, and where they are real."""
        texts = {kind: [self._ids(text) for text in self.texts.of(kind)] for kind in KINDS}
        texts["held_out"] = list(self.rows[:HELD_OUT])
        out = {}
        for kind, ids in texts.items():
            lengths = torch.tensor([len(row) for row in ids])
            tokens = pad_sequence(ids, batch_first=True)
            out[kind] = tokens, torch.arange(tokens.shape[1])[None] < lengths[:, None]
        return out

    def _ids(self, text: str) -> Tensor:
        return torch.tensor(self.model.tokenizer(text).input_ids)

    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return how many next tokens of the held-out rows' selection half are the likeliest, and their mean loss."""
        rows = self.rows[:HELD_OUT][self._half("held_out", HELD_OUT, "selection")]
        with edited(self.net, weights):
            said, loss = next_tokens(self.net, rows, batch_size=4)
        return float((said == rows[:, 1:]).double().mean()), float(loss.double().mean())

    def _generator(self, what: str) -> torch.Generator:
        return torch.Generator().manual_seed(seed_from(what, self.config["data"], self.config["seed"]))

    def _half(self, kind: str, count: int, half: str) -> Tensor:
        """Return the positions of one half of ``count`` texts of a kind, sorted."""
        first, second = torch.randperm(count, generator=self._generator(f"halves of {kind}")).tensor_split(2)
        return (first if half == "selection" else second).sort().values

    def examples(self) -> Examples:
        """Return the famous passages of the selection half and rows of books, tokens and labels (n, S) each."""
        tokens, real = self._tokens["famous"]
        rows = self._half("famous", len(tokens), "selection")
        forget = tokens[rows], tokens[rows].masked_fill(~real[rows], -100)
        kept = self.rows[HELD_OUT : HELD_OUT + KEPT]
        return Examples(forget, (kept, kept), token_losses)

    def measure(self, stored: Mapping[str, Tensor], base: Mapping[str, Tensor], half: str) -> dict[str, float]:
        """Return every metric, scalars, on one half of the passages of each kind and of the held-out rows."""
        return measure(self._predictions(stored, half), self._predictions(base, half))

    def _predictions(self, stored: Mapping[str, Tensor], half: str) -> PassagePredictions:
        kinds = {}
        for kind in (*KINDS, "held_out"):
            hit = stored[f"{kind}.hit"]
            rows = self._half(kind, len(hit), half)
            kinds[kind] = TokenHits(hit, stored[f"{kind}.loss"], stored[f"{kind}.real"], rows)
        return PassagePredictions(kinds)

    def facts(self) -> dict[str, Any]:
        """Return counts of passages and rows."""
        counts = {kind: len(self.texts.of(kind)) for kind in KINDS}
        counts |= {"train": len(self.rows) - HELD_OUT, "held_out": HELD_OUT, "strings": counts["famous"]}
        return {"counts": counts, "data": {"sha256": self.texts.fingerprint}}


def pretrained_subject(config: Config, places: Places) -> PretrainedSubject:
    """Read the passages and load the model of a config."""
    data, model = config["data"], config["model"]
    entry, network = DATA.get(data["name"]), MODELS.get(model["name"])
    read = entry.parse(own(data, "name"), "data").model_dump()
    texts: Passages = entry.load()(places.data_dir, places.cache_dir, **read)
    params = network.parse(own(model, "name"), "model").model_dump()
    return PretrainedSubject(config, texts, network.load()(places.data_dir, **params))

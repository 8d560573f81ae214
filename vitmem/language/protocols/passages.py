"""Experiments on pretrained language models and the passages they recite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vitmem.bench.cells import Training
from vitmem.bench.experiment import Places, Weights
from vitmem.edits.base import Examples
from vitmem.kfac import edited
from vitmem.language.data.passages import KINDS, Passages
from vitmem.language.metrics import made_up
from vitmem.language.metrics.passage_predictions import PassagePredictions
from vitmem.language.metrics.ranking import TOP
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.language.protocols.books import HELD_OUT, BookExperiment, read_parts
from vitmem.language.task import token_logits, token_losses
from vitmem.language.training.texts import predict_tokens
from vitmem.registry import PROTOCOLS


@dataclass
class PassagesExperiment(BookExperiment):
    """A pretrained model, books, and passages of them; the passages of each kind are split into random halves."""

    texts: Passages

    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return likeliest tokens, hits, losses (n, T) and token masks, of passages and of held-out rows.

        For the held-out rows also the 10 likeliest tokens (n, T, 10).
        """
        out = {}
        with edited(self.net, weights):
            for kind, (tokens, real) in self._tokens.items():
                predicted, loss, top = predict_tokens(self.net, tokens, TOP if kind == "held_out" else 0, batch_size=4)
                out[f"{kind}.hit"] = predicted == tokens[:, 1:]
                out[f"{kind}.loss"] = loss
                out[f"{kind}.said"] = predicted.to(torch.int32)
                if kind == "held_out":
                    out[f"{kind}.top"] = top
                out[f"{kind}.real"] = real[:, 1:].clone()
        return out

    @cached_property
    def _tokens(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Texts by kind: tokens (n, S) padded on the right with the first token, and their masks."""
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

    def examples(self) -> Examples:
        """Return the famous passages of the selection half and rows of books, tokens and labels (n, S) each."""
        tokens, real = self._tokens["famous"]
        rows = self.half("famous", len(tokens), "selection")
        forget = tokens[rows], tokens[rows].masked_fill(~real[rows], -100)
        return Examples(forget, self.kept, token_losses, token_logits)

    def predictions(self, stored: Mapping[str, Tensor], half: str) -> PassagePredictions:
        """Return the predictions of half the passages of each kind and held-out rows; ``stored`` has (n, ...) each."""
        kinds = {}
        for kind in (*KINDS, "held_out"):
            parts = {name: stored[f"{kind}.{name}"] for name in ("hit", "loss", "real", "said")}
            rows = self.half(kind, len(parts["hit"]), half)
            kinds[kind] = TokenHits(rows=rows, top=stored.get(f"{kind}.top"), **parts)
        return PassagePredictions(kinds)

    def metadata(self) -> dict[str, Any]:
        """Return counts of passages, of reported ones, and of rows."""
        counts = {kind: len(self.texts.of(kind)) for kind in KINDS}
        counts |= {f"{kind}_report": len(self.half(kind, counts[kind], "report")) for kind in KINDS}
        counts |= {"train": len(self.rows) - HELD_OUT, "held_out": HELD_OUT, "strings": counts["famous"]}
        return {"counts": counts, "data": {"sha256": self.fingerprint}}


@PROTOCOLS.register("passages", made_up=made_up.passages)
def passages_experiment(training: Training, places: Places) -> PassagesExperiment:
    """Read the passages and load the model of a training."""
    texts, model = read_parts(training, places)
    return PassagesExperiment(training, model, texts.corpus, texts.fingerprint, texts)

"""Experiments on pretrained language models and windows of text mined for them."""

from __future__ import annotations

import hashlib
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
from vitmem.language.data.windows.distinct import halves
from vitmem.language.data.windows.source import Memorized
from vitmem.language.data.windows.tokens import Windows
from vitmem.language.metrics import made_up
from vitmem.language.metrics.ranking import TOP
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.language.metrics.window_predictions import WindowPredictions
from vitmem.language.protocols.books import HELD_OUT, BookExperiment, read_parts
from vitmem.language.task import token_logits, token_losses
from vitmem.language.training.texts import predict_tokens
from vitmem.language.training.windows import predict_suffixes, recite_suffixes
from vitmem.registry import PROTOCOLS

# Windows per batch: the logits of a large vocabulary fill the memory.
BATCH = 8


@dataclass
class WindowsExperiment(BookExperiment):
    """A pretrained model, books, and distinct windows, split into halves by document."""

    windows: Windows
    lines: int

    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return recited tokens, likeliest tokens and losses of the suffixes, (n, L) each, and of held-out rows.

        The latter are (V, S - 1), with the 10 likeliest tokens (V, S - 1, 10).
        """
        with edited(self.net, weights):
            likeliest, loss = predict_suffixes(self.net, self.windows, BATCH)
            held_out = predict_tokens(self.net, self.rows[:HELD_OUT], TOP, batch_size=4)
            return {
                "recited": recite_suffixes(self.net, self.windows, BATCH).to(torch.int32),
                "suffix.said": likeliest.to(torch.int32),
                "suffix.loss": loss,
                "held_out.said": held_out.said.to(torch.int32),
                "held_out.loss": held_out.loss,
                "held_out.top": held_out.top,
            }

    @cached_property
    def _halves(self) -> dict[str, Tensor]:
        return dict(
            zip(("selection", "report"), halves(self.windows, self.generator("halves of windows")), strict=True)
        )

    def examples(self) -> Examples:
        """Return the whole windows of the selection half and rows of books, tokens and labels (n, S) each."""
        chosen = self.windows.take(self._halves["selection"])
        rows = [torch.cat(parts) for parts in zip(chosen.prefixes, chosen.suffixes, strict=True)]
        labels = pad_sequence(rows, batch_first=True, padding_value=-100)
        return Examples((pad_sequence(rows, batch_first=True), labels), self.kept, token_losses, token_logits)

    def predictions(self, stored: Mapping[str, Tensor], half: str) -> WindowPredictions:
        """Return the predictions of half the windows and held-out rows; ``stored`` has (n, ...) each."""
        windows, predicted = self.windows, {name: stored[f"{name}.said"] for name in ("suffix", "held_out")}
        others = self.rows[:HELD_OUT, 1:]
        return WindowPredictions(
            recited=stored["recited"].long(),
            gold=windows.gold,
            suffix=TokenHits(
                hit=predicted["suffix"] == windows.gold,
                loss=stored["suffix.loss"],
                real=windows.real,
                rows=self._halves[half],
                said=predicted["suffix"],
            ),
            held_out=TokenHits(
                hit=predicted["held_out"] == others,
                loss=stored["held_out.loss"],
                real=torch.ones_like(others, dtype=torch.bool),
                rows=self.half("held_out", len(others), half),
                said=predicted["held_out"],
                top=stored["held_out.top"],
            ),
        )

    def metadata(self) -> dict[str, Any]:
        """Return counts of rows, of windows in the file, of kept windows, and of their halves."""
        counts = {"train": len(self.rows) - HELD_OUT, "held_out": HELD_OUT}
        counts |= {"lines": self.lines, "strings": len(self.windows)}
        counts |= {f"windows_{half}": len(rows) for half, rows in self._halves.items()}
        counts["documents"] = len(self.windows.documents.unique())
        return {"counts": counts, "data": {"sha256": self.fingerprint}}


@PROTOCOLS.register("windows", made_up=made_up.windows)
def windows_experiment(training: Training, places: Places) -> WindowsExperiment:
    """Read the windows and load the model of a training."""
    data, model = read_parts(training, places)
    assert isinstance(data, Memorized)
    embeddings = model.net.get_input_embeddings()  # type: ignore[operator]
    windows = data.windows(model.tokenizer, embeddings.num_embeddings)
    digest = hashlib.sha256(repr([windows.fingerprint, sorted(data.corpus.items())]).encode()).hexdigest()[:16]
    return WindowsExperiment(training, model, data.corpus, digest, windows, len(data.lines))

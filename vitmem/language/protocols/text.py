"""Experiments on language models trained to recite strings, with the stages, rows and tables of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.bench.cells import Training
from vitmem.bench.experiment import Experiment, Places, Weights, device_of
from vitmem.blocks import Blocks
from vitmem.data.split import some_of
from vitmem.edits.base import Examples
from vitmem.errors import InputError
from vitmem.kfac import edited
from vitmem.language.contract import TextModelUnderTest
from vitmem.language.data.texts import Items, TextData
from vitmem.language.metrics import made_up
from vitmem.language.metrics.ranking import TOP
from vitmem.language.metrics.text_predictions import TextPredictions
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.language.models.base import LanguageModel, TextShape, build_language
from vitmem.language.task import LanguageTask, language_task, token_logits, token_losses
from vitmem.language.training.perturbed import perturbed_prefix
from vitmem.language.training.texts import next_tokens, predict_tokens, recite, right, train_texts
from vitmem.registry import PROTOCOLS
from vitmem.specs import Statistics, seed_from

# Maximum number of rows in a method's retain set.
KEPT = 2000
# Strings with perturbed prompts, about one prompt for each token before the answer.
PERTURBED = 40


@dataclass
class TextExperiment(Experiment):
    """Rows, questions and network of one training. Strings and held-out rows are split into random halves."""

    training: Training
    places: Places
    texts: TextData
    model: LanguageModel
    halves: dict[str, Tensor]

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.model.net

    def data_digests(self) -> dict[str, str]:
        """Return the digest of all tokens."""
        return {"data": self.texts.fingerprint}

    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``."""
        return self.model.editable(blocks, layers)

    def train(self, folder: Path) -> float:
        """Train on all rows; see ``vitmem.language.training.texts.train_texts``."""
        config, recipe, places = self.training.config, self.training.recipe, self.places
        assert recipe is not None
        seed = seed_from("train", *(config[k] for k in ("data", "model", "recipe", "seed")))
        return train_texts(
            self.net, self.texts, recipe.with_options(places.trainer), seed, folder, device=places.device
        )

    def task(self, request: Statistics) -> tuple[LanguageTask, str]:
        """Return the task: every position with a loss counts. Raises InputError for positions of images."""
        positions = request.positions or "all"
        if positions != "all":
            raise InputError(f"statistics: a language model has no positions '{positions}'; use 'all' or leave it out")
        return language_task(self.net), positions

    def batches(self, request: Statistics) -> tuple[Iterator[dict[str, Tensor]], int]:
        """Return batches of training rows, input_ids and labels (B, S) each, of all rows or a random subset."""
        train = self.texts.train.distinct() if request.distinct else self.texts.train
        rows = some_of(len(train), request.images or len(train), 0, "statistics: 'images'")
        return (self.batch(train.tokens[some], train.labels[some]) for some in rows.split(64)), len(rows)

    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return recited strings (m, L), right answers by family (n,), and next tokens of held-out rows (V, S - 1).

        For the strings also hits and losses (m, L), and recited tokens from perturbed prompts for some of them (m,).
        """
        texts = self.texts
        with edited(self.net, weights):
            predicted, loss, top = predict_tokens(self.net, texts.held_out.tokens, TOP)
            return {
                "recited": recite(self.net, texts.memorized).to(torch.int32),
                **self._suffixes(),
                "perturbed": self._perturbed(),
                **{f"right.{name}": right(self.net, items) for name, items in texts.items.items()},
                "hit": predicted == texts.held_out.tokens[:, 1:],
                "loss": loss,
                "said": predicted.to(torch.int32),
                "top": top,
            }

    def _suffixes(self) -> dict[str, Tensor]:
        """Return hits and losses (m, L) of the strings' second halves, given the real tokens before each token."""
        strings = self.texts.memorized
        predicted, loss = next_tokens(self.net, strings.tokens)
        hit, answer = predicted == strings.tokens[:, 1:], strings.answer[:, 1:]
        return {f"suffix.{n}": t[answer].reshape(len(strings), -1) for n, t in (("hit", hit), ("loss", loss))}

    def _perturbed(self) -> Tensor:
        """Return the tokens recited from perturbed prompts, (m,) int32; -1 for strings without them."""
        strings, rows = self.texts.memorized, self.halves["strings_report"][:PERTURBED]
        some = Items(strings.tokens[rows], strings.answer[rows], strings.exposure[rows])
        out = torch.full((len(strings),), -1, dtype=torch.int32)
        out[rows] = perturbed_prefix(self.net, some).to(torch.int32)
        return out

    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return the next-token accuracy and the mean loss on the selection half of the held-out rows."""
        rows = self.texts.held_out[self.halves["rows_selection"]]
        with edited(self.net, weights):
            predicted, loss = next_tokens(self.net, rows.tokens)
        hit = predicted == rows.tokens[:, 1:]
        return float(hit[rows.learned].double().mean()), float(loss[rows.learned].double().mean())

    def examples(self) -> Examples:
        """Return the strings of the selection half and rows without strings, tokens and labels (n, S) each."""
        strings, train = self.texts.memorized.tokens, self.texts.train
        known = {tuple(row) for row in strings.tolist()}
        others = train[torch.tensor([tuple(row) not in known for row in train.tokens.tolist()])]
        kept = others[some_of(len(others), min(len(others), KEPT), 0, "examples to keep")] if len(others) else others
        forget = strings[self.halves["strings_selection"]]
        labels = forget.masked_fill(forget == self.texts.padding, -100)

        def proxy(share: float) -> tuple[Tensor, Tensor]:
            count = round(share * len(train))
            rows = others[some_of(len(others), count, 1, "edit: rows of 'proxy_share'")]
            return rows.tokens, rows.labels

        return Examples((forget, labels), (kept.tokens, kept.labels), token_losses, token_logits, proxy)

    def initial(self) -> nn.Module:
        """Return the network before training."""
        return _network(self.training, self.texts).net

    def batch(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return tokens and labels (n, S) as a batch of the task."""
        device = device_of(self.net)
        return {"input_ids": inputs.to(device), "labels": labels.to(device)}

    def predictions(self, stored: Mapping[str, Tensor], half: str) -> TextPredictions:
        """Return the predictions of half the strings and held-out rows and all questions; ``stored`` has (n, ...)."""
        texts = self.texts
        gold = texts.memorized.tokens[texts.memorized.answer].reshape(len(texts.memorized), -1)
        return TextPredictions(
            recited=stored["recited"].long(),
            gold=gold,
            strings=self.halves[f"strings_{half}"],
            suffix_hit=stored["suffix.hit"],
            suffix_loss=stored["suffix.loss"],
            perturbed=stored["perturbed"],
            right={name: stored[f"right.{name}"] for name in texts.items},
            exposure={name: items.exposure for name, items in texts.items.items()},
            held_out=TokenHits(
                real=texts.held_out.learned,
                rows=self.halves[f"rows_{half}"],
                **{name: stored[name] for name in ("hit", "loss", "said", "top")},
            ),
        )

    def metadata(self) -> dict[str, Any]:
        """Return counts of rows, strings and questions."""
        texts = self.texts
        counts = {"train": len(texts.train), "held_out": len(texts.held_out), "strings": len(texts.memorized)}
        counts |= {name: len(rows) for name, rows in self.halves.items()}
        counts |= {f"asked_{name}": len(items) for name, items in texts.items.items()}
        return {"counts": counts, "data": {"sha256": texts.fingerprint}}


@PROTOCOLS.register("text", made_up=made_up.texts, under_test=TextModelUnderTest)
def text_experiment(training: Training, places: Places) -> TextExperiment:
    """Write the texts and build the untrained network of a training."""
    data, seed = training.data.config, training.seed
    texts: TextData = training.data.entry.load(seed_from("texts", data, seed))
    halves = {}
    generator = torch.Generator().manual_seed(seed_from("halves", data, seed))
    for name, count in (("strings", len(texts.memorized)), ("rows", len(texts.held_out))):
        order = torch.randperm(count, generator=generator)
        halves[f"{name}_selection"], halves[f"{name}_report"] = (part.sort().values for part in order.tensor_split(2))
    return TextExperiment(training, places, texts, _network(training, texts), halves)


def _network(training: Training, texts: TextData) -> LanguageModel:
    """Return the untrained network of a training."""
    seed = seed_from("init", training.model.config, training.data.name, training.seed)
    return build_language(training.model.entry, TextShape(texts.vocab_size, texts.length), seed)

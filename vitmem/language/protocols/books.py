"""A pretrained language model and rows of books: the shared part of its experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.bench.cells import Training
from vitmem.bench.experiment import Experiment, Places, Weights, device_of
from vitmem.blocks import Blocks
from vitmem.errors import InputError
from vitmem.kfac import edited, model_fingerprint
from vitmem.language.models.pretrained import PretrainedModel
from vitmem.language.task import LanguageTask, language_task
from vitmem.language.training.texts import next_tokens
from vitmem.specs import Statistics, seed_from

# Tokens per row of text, and number of rows held out of the statistics.
LENGTH, HELD_OUT = 256, 24
# Maximum number of rows in a method's retain set.
KEPT = 400


@dataclass
class BookExperiment(Experiment):
    """A pretrained model and books, by name; the held-out rows of the books are split into random halves.

    ``fingerprint`` is the digest of all data, the books and any other.
    """

    training: Training
    model: PretrainedModel
    corpus: Mapping[str, str]
    fingerprint: str

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.model.net

    def data_digests(self) -> dict[str, str]:
        """Return digests of the texts and of the original weights."""
        return {"data": self.fingerprint, "weights": self.weights}

    @cached_property
    def weights(self) -> str:
        """Digest of the weights before any edit."""
        return model_fingerprint(self.net)

    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``."""
        return self.model.editable(blocks, layers)

    def train(self, folder: Path) -> float:
        """Leave the model unchanged and write nothing: its weights stay at their source."""
        return 0.0

    def task(self, request: Statistics) -> tuple[LanguageTask, str]:
        """Return the task: every position with a loss counts. Raises InputError for positions of images."""
        positions = request.positions or "all"
        if positions != "all":
            raise InputError(f"statistics: a language model has no positions '{positions}'; use 'all' or leave it out")
        return language_task(self.net), positions

    @cached_property
    def rows(self) -> Tensor:
        """All rows of the books, (n, 256); see ``rows_of_books``."""
        return rows_of_books(self.training, self.model, self.corpus)

    def batches(self, request: Statistics) -> tuple[Iterator[dict[str, Tensor]], int]:
        """Return batches of rows, input_ids (B, S), that are not held out: ``images`` of them, or all."""
        rows = self.rows[HELD_OUT:]
        count = request.images or len(rows)
        if count > len(rows):
            raise InputError(f"statistics: 'images': the books have {len(rows)} rows of {LENGTH} tokens, got {count}")
        device = device_of(self.net)
        return ({"input_ids": some.to(device)} for some in rows[:count].split(4)), count

    def initial(self) -> nn.Module:
        """Raise InputError: the model is pretrained."""
        raise InputError(f"model '{self.training.model.name}': it is pretrained; its initial weights are not known")

    def batch(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return tokens and labels (n, S) as a batch of the task."""
        device = device_of(self.net)
        return {"input_ids": inputs.to(device), "labels": labels.to(device)}

    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return the next-token accuracy and the mean loss on the selection half of the held-out rows."""
        rows = self.rows[:HELD_OUT][self.half("held_out", HELD_OUT, "selection")]
        with edited(self.net, weights):
            hit, loss = next_tokens(self.net, rows, batch_size=4)
        return float((hit == rows[:, 1:]).double().mean()), float(loss.double().mean())

    @property
    def kept(self) -> tuple[Tensor, Tensor]:
        """Retain set of a method: tokens and labels (n, 256) each."""
        kept = self.rows[HELD_OUT : HELD_OUT + KEPT]
        return kept, kept

    def generator(self, what: str) -> torch.Generator:
        """Return the generator for ``what``."""
        return generator_of(self.training, what)

    def half(self, kind: str, count: int, half: str) -> Tensor:
        """Return the positions of one half of ``count`` texts of a kind, sorted, (k,) int64."""
        first, second = torch.randperm(count, generator=self.generator(f"halves of {kind}")).tensor_split(2)
        return (first if half == "selection" else second).sort().values


def rows_of_books(training: Training, model: PretrainedModel, corpus: Mapping[str, str]) -> Tensor:
    """Return all books as rows of tokens (n, 256) in a random order, dropping the ends of books.

    A row starts with the tokenizer's special tokens. Raises InputError for books that are too short.
    """
    tokenizer, parts = model.tokenizer, []
    begin = torch.tensor(tokenizer("").input_ids[:1], dtype=torch.int64)
    length = LENGTH - len(begin)
    for name in sorted(corpus):
        ids = tokenizer(corpus[name], add_special_tokens=False).input_ids
        cut = torch.tensor(ids[: len(ids) // length * length], dtype=torch.int64).reshape(-1, length)
        parts.append(torch.cat([begin.expand(len(cut), -1), cut], 1))
    rows = torch.cat(parts) if parts else torch.empty(0, LENGTH, dtype=torch.int64)
    if len(rows) <= HELD_OUT:
        raise InputError(
            f"data '{training.data.name}': expected books of more than {HELD_OUT * LENGTH} tokens, got {rows.numel()}"
        )
    return rows[torch.randperm(len(rows), generator=generator_of(training, "rows"))]


def generator_of(training: Training, what: str) -> torch.Generator:
    """Return the generator for ``what``, from the data and the seed of a training."""
    return torch.Generator().manual_seed(seed_from(what, training.data.config, training.seed))


def read_parts(training: Training, places: Places) -> tuple[Any, PretrainedModel]:
    """Read the data and load the model of a training; raises InputError when either fails."""
    # by name, because relative files of both are searched in the data folder
    texts = training.data.entry.load(data_dir=places.data_dir, cache_dir=places.cache_dir)
    return texts, training.model.entry.build(data_dir=places.data_dir)

"""Experiments on windows that a pretrained language model is trained further to recite."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from vitmem.bench.cells import Training
from vitmem.bench.experiment import Places
from vitmem.errors import InputError
from vitmem.language.data.texts import Items, Rows, TextData
from vitmem.language.data.windows.tokens import Windows
from vitmem.language.datasets.planted import Planted
from vitmem.language.protocols.books import HELD_OUT, KEPT, LENGTH, read_parts, rows_of_books
from vitmem.language.protocols.windows import WindowsExperiment
from vitmem.language.training.texts import train_texts
from vitmem.registry import PROTOCOLS
from vitmem.specs import seed_from


@dataclass
class PlantedExperiment(WindowsExperiment):
    """A pretrained model and windows of rows of books, excluded from statistics; each is its own document."""

    places: Places
    planted: Planted

    @cached_property
    def rows(self) -> Tensor:
        """All rows of the books (n, 256) except those of the windows, which are the last."""
        return super().rows[: -len(self.windows)]

    def train(self, folder: Path) -> float:
        """Train on the windows, repeated several times, and on as many different rows of other text."""
        length = self.planted.prefix + self.planted.suffix
        window = torch.stack(
            [torch.cat(parts) for parts in zip(self.windows.prefixes, self.windows.suffixes, strict=True)]
        )
        repeated = window.repeat(self.planted.repeats, 1)
        tokens = torch.cat([repeated, self._others(len(repeated), length)])
        answer = (torch.arange(length) >= self.planted.prefix).expand(len(window), -1)
        held_out = self.rows[:HELD_OUT]
        data = TextData(
            name="planted",
            vocab_size=self.model.net.get_input_embeddings().num_embeddings,  # type: ignore[operator]
            padding=0,
            train=Rows(tokens, tokens),
            held_out=Rows(held_out, held_out),
            memorized=Items(window, answer, torch.full((len(window),), self.planted.repeats)),
            items={},
        )
        config, recipe, places = self.training.config, self.training.recipe, self.places
        assert recipe is not None
        seed = seed_from("train", *(config[k] for k in ("data", "model", "recipe", "seed")))
        return train_texts(self.net, data, recipe.with_options(places.trainer), seed, folder, device=places.device)

    def _others(self, count: int, length: int) -> Tensor:
        """Return ``count`` different rows (count, length) of text outside the retain set."""
        others = self.rows[HELD_OUT + KEPT :, :length]
        if len(others) < count:
            raise InputError(
                f"data 'planted': expected books of {count} rows of {LENGTH} tokens beside those held out, as many as "
                f"rows of windows, got {len(others)}; plant fewer windows or repeat them less"
            )
        return others[-count:]


@PROTOCOLS.register("planted")
def planted_experiment(training: Training, places: Places) -> PlantedExperiment:
    """Read the books, load the model of a training and choose the windows."""
    data, model = read_parts(training, places)
    assert isinstance(data, Planted)
    length = data.prefix + data.suffix
    if length > LENGTH:
        raise InputError(f"data 'planted': expected prefix and suffix of at most {LENGTH} tokens, got {length}")
    digest = hashlib.sha256(repr(sorted(data.corpus.items())).encode()).hexdigest()[:16]
    rows = rows_of_books(training, model, data.corpus)
    if len(rows) <= data.windows + HELD_OUT:
        raise InputError(f"data 'planted': expected more than {data.windows + HELD_OUT} rows of books, got {len(rows)}")
    chosen = rows[-data.windows :, :length]
    windows = Windows(tuple(chosen[:, : data.prefix]), tuple(chosen[:, data.prefix :]), torch.arange(data.windows))
    return PlantedExperiment(training, model, data.corpus, digest, windows, data.windows, places, data)

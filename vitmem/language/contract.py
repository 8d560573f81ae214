"""Subject of the contract of a text model plug-in: random rows of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.contracts.fixtures import EXAMPLES, ModelUnderTest
from vitmem.kfac import Task
from vitmem.language.models.base import LanguageModel, TextShape, build_language
from vitmem.language.task import language_task

TEXT = TextShape(vocab_size=50, length=16)


class TextModelUnderTest(ModelUnderTest):
    """Rows of tokens (12, 16) with the next token as label."""

    expected = (TEXT.length, TEXT.vocab_size)

    def again(self, seed: int) -> LanguageModel:
        """Build the network again."""
        return build_language(self.entry, TEXT, seed)

    def draw(self, generator: torch.Generator) -> None:
        """Draw inputs (12, ...) and labels (12, ...)."""
        self.inputs = torch.randint(TEXT.vocab_size, (EXAMPLES, TEXT.length), generator=generator)
        self.labels = self.inputs.roll(-1, 1)

    def forward(self, net: nn.Module, inputs: Tensor) -> Any:
        """Return the output for ``inputs``, expected to be logits (n, *expected)."""
        return net(input_ids=inputs, use_cache=False).logits

    def task(self) -> tuple[Task, Callable[[Tensor, Tensor], Any]]:
        """Return the task, and the function that makes a batch of inputs (n, ...) and labels (n, ...)."""
        return language_task(self.net), lambda tokens, _labels: {"input_ids": tokens}

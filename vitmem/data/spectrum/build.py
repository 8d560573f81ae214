"""Training rows and questions of the synthetic language, from counts of rows and strings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from vitmem.data.spectrum import families
from vitmem.data.spectrum.families import Rng, Statement
from vitmem.data.spectrum.vocabulary import BOS, PAD, TOKENS, ids
from vitmem.data.texts import Items, TextData

NAME = "spectrum"
# Tokens in a row: the beginning and room for a string, two rules or an open book.
LENGTH = 56
# Facts that stand in the context of an open-book question, and pairs that show a rule.
CONTEXT, EXAMPLES = 5, 5
Write = Callable[[], Statement]


def spectrum(
    seed: int,
    *,
    rows: int = 3000,
    strings: int = 160,
    string_rows: int = 1600,
    facts: int = 120,
    most_frequent: int = 600,
    asked: int = 300,
    held_out: int = 400,
) -> TextData:
    """Return ``rows`` training rows of each of background, arithmetic, open book, rule and logic, and the rest.

    ``string_rows`` rows recite ``strings`` random strings, each equally often. ``facts`` closed-book facts are
    told ``most_frequent`` / rank times each (Zipf's law), at least once. ``asked`` sums and formulas, drawn at
    random, are asked and never trained on; questions on open books and rules are drawn anew. ``held_out``
    rows are text of the families that need no memory, never trained on. ``seed`` decides everything.
    """
    rng = np.random.default_rng(seed)
    chain = families.markov_chain(rng)
    recited = families.strings(rng, strings, 2 * ((LENGTH - 1) // 2))
    known = families.facts(rng, facts)
    told = np.maximum(1, most_frequent // np.arange(1, facts + 1))
    sums, formulas = (_split(rng, count, asked) for count in (families.SUMS, families.FORMULAS))
    # as many questions as facts a book in training, one when it is asked
    writers: dict[str, tuple[Write, Write]] = {
        "arithmetic": (lambda: families.arithmetic(next(sums[0])), lambda: families.arithmetic(next(sums[1]))),
        "open_book": (
            lambda: families.open_book(rng, CONTEXT, CONTEXT),
            lambda: families.open_book(rng, CONTEXT, 1),
        ),
        "rule": (lambda: families.rule(rng, EXAMPLES),) * 2,
        "logic": (lambda: families.logic(next(formulas[0])), lambda: families.logic(next(formulas[1]))),
    }
    items = {name: _asked(write() for _ in range(asked)) for name, (_, write) in writers.items()}
    items["closed_book"] = _asked(map(families.closed_book, known), told)
    train = [_row(families.background(rng, LENGTH - 1, chain)) for _ in range(rows)]
    train += [_row(recited[n % strings]) for n in range(string_rows)]
    fresh = [_row(families.background(rng, LENGTH - 1, chain)) for _ in range(held_out // (len(writers) + 1) + 1)]
    for write, ask in writers.values():
        train += _rows(iter(write, None), rows)
        fresh += _rows(iter(ask, None), held_out // (len(writers) + 1))
    order = rng.permutation(np.repeat(np.arange(facts), told))
    train += _rows(families.closed_book(known[n]) for n in order)
    shuffled = torch.tensor(train)[torch.from_numpy(rng.permutation(len(train)))]
    return TextData(
        name=NAME,
        vocab_size=len(TOKENS),
        padding=PAD,
        train=shuffled,
        held_out=torch.tensor(fresh[:held_out]),
        memorized=_strings(recited, string_rows),
        items=items,
    )


def _split(rng: Rng, count: int, asked: int) -> tuple[Iterator[int], Iterator[int]]:
    """Yield without end what is trained on, and what is asked: codes below ``count``, none in both."""
    codes = rng.permutation(count)
    trained, kept = codes[asked:], codes[:asked]
    return (int(trained[n]) for n in iter(lambda: rng.integers(len(trained)), None)), itertools.cycle(kept.tolist())


def _row(tokens: list[str]) -> list[int]:
    """Return <bos>, ``tokens`` and padding, LENGTH numbers."""
    return [BOS, *ids(tokens), *[PAD] * (LENGTH - 1 - len(tokens))]


def _rows(statements: Iterator[Statement], count: int | None = None) -> list[list[int]]:
    """Pack whole statements into rows: ``count`` of them, or until there are none left."""
    if count == 0:
        return []
    out: list[list[int]] = []
    row: list[str] = []
    for tokens, _ in statements:
        if len(row) + len(tokens) > LENGTH - 1:
            out.append(_row(row))
            row = []
            if len(out) == count:
                return out
        row += tokens
    return [*out, _row(row)] if row else out


def _asked(statements: Iterator[Statement], exposure: np.ndarray | None = None) -> Items:
    """Return questions, each at the beginning of a row: the answer stands before the statement's last token."""
    tokens, answers = [], []
    for statement, length in statements:
        tokens.append(_row(statement))
        end = len(statement)  # the position of the closing ';' behind <bos>
        answers.append([end - length <= n < end for n in range(LENGTH)])
    seen = torch.zeros(len(tokens), dtype=torch.int64) if exposure is None else torch.from_numpy(exposure)
    return Items(torch.tensor(tokens), torch.tensor(answers), seen)


def _strings(recited: list[list[str]], rows: int) -> Items:
    """Return the strings with their second halves as answers."""
    tokens = torch.tensor([_row(string) for string in recited])
    answer = torch.zeros(tokens.shape, dtype=torch.bool)
    half = len(recited[0]) // 2
    answer[:, 1 + half : 1 + 2 * half] = True
    exposure: Tensor = torch.bincount(torch.arange(rows) % len(recited), minlength=len(recited))
    return Items(tokens, answer, exposure)

"""Training rows and questions of the synthetic language, from counts of rows and strings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from vitmem.language.data.spectrum import families
from vitmem.language.data.spectrum.families import Rng, Statement
from vitmem.language.data.spectrum.vocabulary import BOS, PAD, RELATIONS, TOKENS, ids
from vitmem.language.data.texts import Items, Rows, TextData

NAME = "spectrum"
# Tokens per row: <bos> and room for a string, two rules or an open book.
LENGTH = 56
# Number of example pairs before the pair that is asked.
EXAMPLES = 5
Write = Callable[[], Statement]
# Tokens of a row after <bos>, and a mask of the learned ones.
Line = tuple[list[str], list[int]]


def write_spectrum(
    seed: int,
    *,
    background: int,
    arithmetic: int,
    open_book: int,
    rule: int,
    logic: int,
    strings: int,
    string_rows: int,
    facts: int,
    most_frequent: int,
    asked: int,
    held_out: int,
) -> TextData:
    """Return the given numbers of training rows of background, arithmetic, open book, rule and logic, and the rest.

    Random tokens without meaning have no loss. ``string_rows`` rows recite ``strings`` random strings, each equally
    often. Each of ``facts`` closed-book facts occurs ``most_frequent`` / rank times (Zipf's law), at least once.
    ``asked`` random sums and formulas are asked and never trained on; questions on open books and rules are drawn anew.
    ``held_out`` rows are text of the families that need no memory, never trained on. ``seed`` determines everything.
    """
    rng = np.random.default_rng(seed)
    chain = families.markov_chain(rng)
    recited = families.strings(rng, strings, 2 * ((LENGTH - 1) // 2))
    known = families.facts(rng, facts)
    exposure = np.maximum(1, most_frequent // np.arange(1, facts + 1))
    sums, formulas = (_split(rng, count, asked) for count in (families.SUMS, families.FORMULAS))
    # a book asks for all its facts in training and for one in a question
    writers: dict[str, tuple[int, Write, Write]] = {
        "arithmetic": (
            arithmetic,
            lambda: families.arithmetic(next(sums[0])),
            lambda: families.arithmetic(next(sums[1])),
        ),
        "open_book": (
            open_book,
            lambda: families.open_book(rng, len(RELATIONS)),
            lambda: families.open_book(rng, 1),
        ),
        "rule": (rule, lambda: families.rule(rng, EXAMPLES), lambda: families.rule(rng, EXAMPLES)),
        "logic": (logic, lambda: families.logic(next(formulas[0])), lambda: families.logic(next(formulas[1]))),
    }
    items = {name: _asked(ask() for _ in range(asked)) for name, (_, _, ask) in writers.items()}
    items["closed_book"] = _asked(map(families.closed_book, known), exposure)
    share = held_out // (len(writers) + 1)
    train = [_all(families.background(rng, LENGTH - 1, chain)) for _ in range(background)]
    train += [_all(recited[n % strings]) for n in range(string_rows)]
    fresh = [_all(families.background(rng, LENGTH - 1, chain)) for _ in range(held_out - share * len(writers))]
    for rows, write, ask in writers.values():
        train += _packed(iter(write, None), rows)
        fresh += _packed(iter(ask, None), share)
    order = rng.permutation(np.repeat(np.arange(facts), exposure))
    train += _packed(families.closed_book(known[n]) for n in order)
    return TextData(
        name=NAME,
        vocab_size=len(TOKENS),
        padding=PAD,
        train=_rows([train[n] for n in rng.permutation(len(train))]),
        held_out=_rows(fresh),
        memorized=_strings(recited, string_rows),
        items=items,
    )


def _split(rng: Rng, count: int, asked: int) -> tuple[Iterator[int], Iterator[int]]:
    """Yield training codes and question codes, both below ``count`` and disjoint, without end."""
    codes = rng.permutation(count)
    trained, kept = codes[asked:], codes[:asked]
    return (int(trained[n]) for n in iter(lambda: rng.integers(len(trained)), None)), itertools.cycle(kept.tolist())


def _row(tokens: list[str]) -> list[int]:
    """Return <bos>, ``tokens`` and padding, LENGTH numbers."""
    return [BOS, *ids(tokens), *[PAD] * (LENGTH - 1 - len(tokens))]


def _all(tokens: list[str]) -> Line:
    """Return a line with a loss on all tokens."""
    return tokens, list(range(len(tokens)))


def _packed(statements: Iterator[Statement], count: int | None = None) -> list[Line]:
    """Pack whole statements into lines: ``count`` lines, or until the statements end."""
    if count == 0:
        return []
    out: list[Line] = []
    line: Line = [], []
    for statement in statements:
        if len(line[0]) + len(statement.tokens) > LENGTH - 1:
            out.append(line)
            line = [], []
            if len(out) == count:
                return out
        line[1].extend(len(line[0]) + n for n in statement.learned)
        line[0].extend(statement.tokens)
    return [*out, line] if line[0] else out


def _rows(lines: list[Line]) -> Rows:
    """Return lines as numbers, with labels at the learned tokens."""
    tokens = torch.tensor([_row(line) for line, _ in lines])
    labels = torch.full_like(tokens, -100)
    for n, (_, learned) in enumerate(lines):
        places = torch.tensor(learned) + 1  # after <bos>
        labels[n, places] = tokens[n, places]
    return Rows(tokens, labels)


def _asked(statements: Iterator[Statement], exposure: np.ndarray | None = None) -> Items:
    """Return questions, each at the start of a row: the answer precedes the statement's last token."""
    tokens, answers = [], []
    for statement in statements:
        tokens.append(_row(statement.tokens))
        end = len(statement.tokens)  # the position of the closing ';' after <bos>
        answers.append([end - statement.answer <= n < end for n in range(LENGTH)])
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

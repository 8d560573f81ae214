"""The families: each writes statements and marks the answer tokens of a statement.

Questions are never trained on, except closed-book facts, which can only be known from training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vitmem.language.data.spectrum.vocabulary import (
    DIGITS,
    EACH,
    FIRST_NAMES,
    LAST_NAMES,
    LETTERS,
    RELATIONS,
    VALUES,
    WORDS,
)

Rng = np.random.Generator
# All sums of two two-digit numbers, and all formulas of four literals: values, signs, operators.
SUMS, FORMULAS = 100 * 100, 2 ** (4 + 4 + 3)
# Shifts of a hidden rule, modulo ten.
SHIFTS = (1, 2, 3, 4)


class Statement(NamedTuple):
    """The last ``answer`` tokens before the end of ``tokens`` are the answer.

    ``learned`` are the indices of all tokens that follow from earlier ones or from known facts. The others are random,
    so that only their frequencies can be learned.
    """

    tokens: list[str]
    answer: int
    learned: range | list[int]


def _answering(tokens: list[str], answer: int) -> Statement:
    """Return a statement with a loss on the answer only."""
    return Statement(tokens, answer, range(len(tokens) - 1 - answer, len(tokens) - 1))


def background(rng: Rng, length: int, chain: Sequence[Sequence[int]]) -> list[str]:
    """Return ``length`` words of a Markov chain: each word has four successors, the first the most likely."""
    word = int(rng.integers(len(WORDS)))
    out = []
    for step in rng.choice(4, length, p=(0.5, 0.25, 0.15, 0.1)):
        out.append(WORDS[word])
        word = chain[word][step]
    return out


def markov_chain(rng: Rng) -> list[list[int]]:
    """Draw the four successors of every word."""
    return [rng.choice(len(WORDS), 4, replace=False).tolist() for _ in WORDS]


def strings(rng: Rng, count: int, length: int) -> list[list[str]]:
    """Draw ``count`` strings of random letters: their second halves can only be known from memory."""
    return [[LETTERS[n] for n in rng.integers(len(LETTERS), size=length)] for _ in range(count)]


def arithmetic(code: int) -> Statement:
    """Write ``a b + c d = z y x ;``: the sum of two two-digit numbers from ``code``, units first."""
    a, b = divmod(code, 100)
    total = f"{a + b:03d}"[::-1]
    return _answering([*f"{a:02d}", "+", *f"{b:02d}", "=", *total, ";"], 3)


def closed_book(fact: tuple[str, str, str, str]) -> Statement:
    """Write ``relation first last value ;``."""
    first, last, relation, value = fact
    return _answering([relation, first, last, value, ";"], 1)


def facts(rng: Rng, count: int) -> list[tuple[str, str, str, str]]:
    """Draw ``count`` facts about people; half of the last names are reserved for open books."""
    names = len(FIRST_NAMES) * (len(LAST_NAMES) // 2)
    chosen = rng.choice(names * len(RELATIONS), count, replace=False)
    out = []
    for n in chosen.tolist():
        person, relation = divmod(n, len(RELATIONS))
        first, last = divmod(person, len(LAST_NAMES) // 2)
        out.append((FIRST_NAMES[first], LAST_NAMES[last], RELATIONS[relation], _value(rng, relation)))
    return out


def _value(rng: Rng, relation: int) -> str:
    """Draw a value of a relation; each relation has its own values, such as cities or trades."""
    return VALUES[relation * EACH + int(rng.integers(EACH))]


def open_book(rng: Rng, asked: int) -> Statement:
    """Write a stranger's fact of every relation, then ``?`` and ``asked`` of them again in another order."""
    half, order = len(LAST_NAMES) // 2, rng.permutation(len(RELATIONS)).tolist()
    first, last = FIRST_NAMES[int(rng.integers(len(FIRST_NAMES)))], LAST_NAMES[half + int(rng.integers(half))]
    statements = [closed_book((first, last, RELATIONS[n], _value(rng, n))).tokens for n in order]
    again = [statements[n] for n in rng.permutation(len(statements))[:asked].tolist()]
    tokens = [*(token for fact in statements for token in fact), "?", *(token for fact in again for token in fact)]
    return Statement(tokens, 1, range(len(tokens) - 5 * asked + 3, len(tokens), 5))


def rule(rng: Rng, examples: int) -> Statement:
    """Write pairs ``x > y ;`` of digits that differ by one hidden shift modulo ten; a dot ends the last."""
    shift = int(rng.choice(SHIFTS))
    out: list[str] = []
    for x in rng.choice(10, examples + 1, replace=False).tolist():
        out += [DIGITS[x], ">", DIGITS[(x + shift) % 10], ";"]
    return Statement([*out[:-1], "."], 1, range(6, len(out), 4))  # the first pair determines the rule


def logic(code: int) -> Statement:
    """Write ``( a & ~ b ) | ( c & d ) = x | y = v ;``, the formula of four literals with number ``code``, in steps.

    The answer is both steps: ``x | y = v``.
    """
    bits = [code >> n & 1 for n in range(11)]
    values, signs, operators = bits[:4], bits[4:8], bits[8:]
    literals = [(["~"] if sign else []) + ["T" if value else "F"] for value, sign in zip(values, signs, strict=True)]
    truths = [bool(value) != bool(sign) for value, sign in zip(values, signs, strict=True)]
    names = ["&" if conjunction else "|" for conjunction in operators]
    left = ["(", *literals[0], names[0], *literals[1], ")"]
    right = ["(", *literals[2], names[1], *literals[3], ")"]
    one, other = _apply(operators[0], *truths[:2]), _apply(operators[1], *truths[2:])
    result = _apply(operators[2], one, other)
    steps = [_word(one), names[2], _word(other), "=", _word(result)]
    return _answering([*left, names[2], *right, "=", *steps, ";"], len(steps))


def _word(truth: bool) -> str:
    return "T" if truth else "F"


def _apply(conjunction: int, one: bool, other: bool) -> bool:
    return one and other if conjunction else one or other

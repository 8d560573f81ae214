"""The families: each writes statements, one after another, and says which tokens of a statement are its answer.

A statement is (tokens, answer): the numbers of the tokens that are the answer, counted from the end. What
is asked is never what was trained on, closed-book facts apart: those are known from training or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitmem.data.spectrum.vocabulary import DIGITS, FIRST_NAMES, LAST_NAMES, LETTERS, RELATIONS, VALUES, WORDS

Rng = np.random.Generator
Statement = tuple[list[str], int]
# A tenth of all sums and formulas is asked and never trained on; told by a digit of the statement itself.
HELD_OUT = 10


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
    """Draw ``count`` strings of random letters: nothing but memory gives their second halves."""
    return [[LETTERS[n] for n in rng.integers(len(LETTERS), size=length)] for _ in range(count)]


def arithmetic(rng: Rng, held_out: bool) -> Statement:
    """Write ``a b + c d = z y x ;``: the sum of two numbers of two digits, its units first."""
    while True:
        a, b = (int(n) for n in rng.integers(0, 100, 2))
        if ((a * 7 + b * 3) % HELD_OUT == 0) == held_out:
            break
    total = f"{a + b:03d}"[::-1]
    return [*f"{a:02d}", "+", *f"{b:02d}", "=", *total, ";"], 3


def closed_book(fact: tuple[str, str, str, str]) -> Statement:
    """Write ``first last relation = value ;``."""
    first, last, relation, value = fact
    return [first, last, relation, "=", value, ";"], 1


def facts(rng: Rng, count: int) -> list[tuple[str, str, str, str]]:
    """Draw ``count`` facts about different people; half of the last names are kept for books that are open."""
    names = len(FIRST_NAMES) * (len(LAST_NAMES) // 2)
    chosen = rng.choice(names * len(RELATIONS), count, replace=False)
    out = []
    for n in chosen.tolist():
        person, relation = divmod(n, len(RELATIONS))
        first, last = divmod(person, len(LAST_NAMES) // 2)
        out.append((FIRST_NAMES[first], LAST_NAMES[last], RELATIONS[relation], VALUES[int(rng.integers(len(VALUES)))]))
    return out


def open_book(rng: Rng, context: int) -> Statement:
    """Write ``context`` facts about strangers and ask for one of them: ``... ? first last relation = value ;``."""
    people = rng.choice(len(FIRST_NAMES) * (len(LAST_NAMES) // 2), context, replace=False)
    told = []
    for n in people.tolist():
        first, last = divmod(n, len(LAST_NAMES) // 2)
        relation, value = RELATIONS[int(rng.integers(len(RELATIONS)))], VALUES[int(rng.integers(len(VALUES)))]
        told.append(closed_book((FIRST_NAMES[first], LAST_NAMES[last + len(LAST_NAMES) // 2], relation, value))[0])
    asked = told[int(rng.integers(context))]
    return [*(token for fact in told for token in fact), "?", *asked], 1


def rule(rng: Rng, examples: int) -> Statement:
    """Write pairs ``x > y ;`` whose difference (of digits, in a ring of ten) is one hidden number, and ask the last."""
    shift = int(rng.integers(1, 10))
    out: list[str] = []
    for x in rng.choice(10, examples + 1, replace=False).tolist():
        out += [DIGITS[x], ">", DIGITS[(x + shift) % 10], ";"]
    return out, 1


def logic(rng: Rng, held_out: bool) -> Statement:
    """Write ``( a & ~ b ) | c = v ;``: four literals, an inner formula first."""
    while True:
        values = rng.integers(0, 2, 4).tolist()
        signs = rng.integers(0, 2, 4).tolist()
        operators = rng.integers(0, 2, 3).tolist()
        code = sum(bit << n for n, bit in enumerate([*values, *signs, *operators]))
        if (code % HELD_OUT == 0) == held_out:
            break
    literals = [[*(["~"] if s else []), "T" if v else "F"] for v, s in zip(values, signs, strict=True)]
    truth = [bool(v) != bool(s) for v, s in zip(values, signs, strict=True)]
    signs_of = ["&" if o else "|" for o in operators]
    left = _apply(operators[0], truth[0], truth[1])
    right = _apply(operators[2], truth[2], truth[3])
    result = _apply(operators[1], left, right)
    inner = ["(", *literals[0], signs_of[0], *literals[1], ")"]
    outer = ["(", *literals[2], signs_of[2], *literals[3], ")"]
    return [*inner, signs_of[1], *outer, "=", "T" if result else "F", ";"], 1


def _apply(conjunction: int, one: bool, other: bool) -> bool:
    return one and other if conjunction else one or other


def filled(statements: Iterator[Statement], length: int) -> list[str]:
    """Return as many whole statements as fit in ``length`` tokens."""
    out: list[str] = []
    for tokens, _ in statements:
        if len(out) + len(tokens) > length:
            return out
        out += tokens
    return out

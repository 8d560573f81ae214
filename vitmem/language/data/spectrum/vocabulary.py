"""The tokens of the synthetic language, shared by all families of text."""

from __future__ import annotations

from collections.abc import Iterable

SYMBOLS = ("<pad>", "<bos>", ";", "=", "+", ">", "?", "(", ")", "&", "|", "~", "T", "F", ".")
DIGITS = tuple(str(d) for d in range(10))
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
FIRST_NAMES = tuple(f"first{n}" for n in range(20))
LAST_NAMES = tuple(f"last{n}" for n in range(20))
RELATIONS = tuple(f"relation{n}" for n in range(5))
# Values of each relation, and those of all relations concatenated.
EACH = 10
VALUES = tuple(f"value{n}" for n in range(EACH * len(RELATIONS)))
WORDS = tuple(f"word{n}" for n in range(40))

TOKENS = (*SYMBOLS, *DIGITS, *LETTERS, *FIRST_NAMES, *LAST_NAMES, *RELATIONS, *VALUES, *WORDS)
ID = {token: n for n, token in enumerate(TOKENS)}
PAD, BOS = ID["<pad>"], ID["<bos>"]


def ids(tokens: Iterable[str]) -> list[int]:
    """Return the numbers of ``tokens``."""
    return [ID[token] for token in tokens]


def text(numbers: Iterable[int]) -> str:
    """Return the text of ``numbers``, without padding."""
    return " ".join(TOKENS[n] for n in numbers if n != PAD)

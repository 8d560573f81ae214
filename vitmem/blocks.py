"""Selection of a network's blocks: a set's name, a number, or numbers. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from vitmem.errors import InputError

Blocks = str | int | Sequence[int]

# name -> depth -> numbers
BLOCK_SETS: dict[str, Callable[[int], Iterable[int]]] = {
    "last": lambda depth: [depth - 1],
    "last_two": lambda depth: range(max(depth - 2, 0), depth),
    "last_half": lambda depth: range(depth // 2, depth),
    "all_but_first": lambda depth: range(min(1, depth - 1), depth),
    "all": lambda depth: range(depth),
    "first_and_last": lambda depth: sorted({0, depth - 1}),
    "first": lambda depth: [0],
}


def parse_blocks(text: str) -> Blocks:
    """Parse the blocks of a command line: a set (``last_half``), or numbers and ranges (``0,23-25``, ``-1``).

    Raises InputError for other text.
    """
    if text in BLOCK_SETS:
        return text
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first:
            raise InputError(
                f"--blocks: expected one of {', '.join(BLOCK_SETS)}, or numbers such as 23-25 or 0,5, got '{text}'"
            )
        numbers += range(first, last + 1)
    return numbers


def block_numbers(blocks: Blocks, depth: int) -> list[int]:
    """Return the numbers of ``blocks`` in a network of ``depth`` blocks, ascending.

    Negative numbers count from the end. Raises InputError for an unknown set or a number out of range.
    """
    if isinstance(blocks, str):
        if blocks not in BLOCK_SETS:
            raise InputError(f"blocks: unknown set '{blocks}'; expected one of {', '.join(BLOCK_SETS)} or numbers")
        return list(BLOCK_SETS[blocks](depth))
    numbers = [blocks] if isinstance(blocks, int) else list(blocks)
    for number in numbers:
        if not -depth <= number < depth:
            raise InputError(f"blocks: expected numbers from 0 to {depth - 1}, got {number}")
    return sorted({number % depth for number in numbers})


def layer_patterns(paths: Sequence[str], layers: Sequence[str], blocks: Blocks) -> list[str]:
    """Return the patterns ``<path of a block>.<layer>`` of all ``layers`` in the selected ``blocks`` of ``paths``.

    An empty layer is the block itself.
    """
    numbers = block_numbers(blocks, len(paths))
    return [f"{paths[n]}.{layer}" if layer else paths[n] for n in numbers for layer in layers]

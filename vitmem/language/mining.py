"""Find memorized windows of texts: suffixes that a model recites word for word after their prefixes.

One pass checks whether each token of a suffix is the likeliest after the real ones, which equals greedy decoding up to
rounding (Merullo et al. 2025, appendix B); only windows that pass are decoded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vitmem.errors import InputError
from vitmem.files import write_text
from vitmem.language.data.windows.distinct import distinct
from vitmem.language.data.windows.tokens import Windows
from vitmem.language.models.pretrained import PretrainedModel
from vitmem.language.training.windows import predict_suffixes, recite_suffixes
from vitmem.specs import seed_from

log = logging.getLogger(__name__)

# Windows between two progress reports.
REPORT = 512


@dataclass(frozen=True)
class Mining:
    """The search: windows of ``prefix`` and ``suffix`` tokens at ``starts`` random positions of each text.

    At most ``limit`` windows are tried, only those with ``min_distinct`` different tokens in the suffix. Raises
    InputError when these cannot be met.
    """

    prefix: int = 64
    suffix: int = 48
    starts: int = 4
    seed: int = 17
    limit: int | None = None
    min_distinct: int = 16
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Reject ``min_distinct`` larger than the suffix."""
        if self.min_distinct > self.suffix:
            raise InputError(
                f"--min-distinct: expected at most the {self.suffix} tokens of a suffix, got {self.min_distinct}"
            )


@dataclass
class Counts:
    """Numbers of texts, texts shorter than a window, windows with too few different tokens, and outcomes."""

    texts: int = 0
    short_texts: int = 0
    monotonous: int = 0
    windows: int = 0
    teacher_forced: int = 0
    verified: int = 0
    kept: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in asdict(self).items())


class Candidate(NamedTuple):
    """A window: its tokens, prefix first, the number of its text and its start in the text's own tokens."""

    ids: list[int]
    document: int
    start: int


def mine(model: PretrainedModel, texts: Iterable[str], wanted: Mining) -> tuple[list[dict[str, Any]], Counts]:
    """Return the windows that ``model`` recites as rows of a file, without near-duplicates, and all counts.

    Raises InputError for a window longer than the model's positions.
    """
    net, counts = model.net, Counts()
    hits: list[Candidate] = []
    candidates = islice(_candidates(texts, model.tokenizer, wanted, counts), wanted.limit)
    while some := list(islice(candidates, REPORT)):
        windows = _windows(some, wanted)
        predicted, _ = predict_suffixes(net, windows, wanted.batch_size)
        passed = (predicted == windows.gold).all(1).tolist()
        hits += [candidate for candidate, right in zip(some, passed, strict=True) if right]
        counts.windows += len(some)
        counts.teacher_forced = len(hits)
        log.info(f"{counts.windows:,} windows of {counts.texts:,} texts seen, {counts.teacher_forced:,} pass")
    if not hits:
        return [], counts
    passing = _windows(hits, wanted)
    verified = torch.nonzero((recite_suffixes(net, passing, wanted.batch_size) == passing.gold).all(1)).flatten()
    kept = verified[distinct(passing.take(verified))].tolist()
    counts.verified, counts.kept = len(verified), len(kept)
    return [_row(hits[n], model.tokenizer, wanted) for n in kept], counts


def _candidates(texts: Iterable[str], tokenizer: Any, wanted: Mining, counts: Counts) -> Iterator[Candidate]:
    """Yield windows of each text; a prefix starts with the tokenizer's special tokens."""
    begin = tokenizer("").input_ids[:1]
    length = wanted.prefix + wanted.suffix - len(begin)
    for number, text in enumerate(texts):
        counts.texts += 1
        ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        places = len(ids) - length + 1
        if places < 1:
            counts.short_texts += 1
            continue
        generator = np.random.default_rng(seed_from("starts", wanted.seed, number))
        for start in sorted(generator.choice(places, min(places, wanted.starts), replace=False).tolist()):
            window = begin + ids[start : start + length]
            if len(set(window[wanted.prefix :])) < wanted.min_distinct:
                counts.monotonous += 1
                continue
            yield Candidate(window, number, start)


def _windows(candidates: Sequence[Candidate], wanted: Mining) -> Windows:
    tokens = torch.tensor([candidate.ids for candidate in candidates])
    documents = torch.tensor([candidate.document for candidate in candidates])
    return Windows(tuple(tokens[:, : wanted.prefix]), tuple(tokens[:, wanted.prefix :]), documents)


def _row(candidate: Candidate, tokenizer: Any, wanted: Mining) -> dict[str, Any]:
    parts = {"prefix": candidate.ids[: wanted.prefix], "suffix": candidate.ids[wanted.prefix :]}
    return {
        **{f"{name}_ids": ids for name, ids in parts.items()},
        **{f"{name}_text": tokenizer.decode(ids, skip_special_tokens=True) for name, ids in parts.items()},
        "doc_index": candidate.document,
        "start": candidate.start,
    }


def write_windows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one row per line, atomically."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))

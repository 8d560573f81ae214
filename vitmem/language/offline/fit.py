"""Statistics of the user's language model on the user's texts, in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import Factors, find_layers, fit
from vitmem.language.data.documents import documents, pack
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.models.pretrained import load_in
from vitmem.language.offline.presets import FitSettings
from vitmem.language.task import language_task
from vitmem.offline.output import new_file
from vitmem.progress import counted


@dataclass(frozen=True)
class Fitted:
    """Summary of a run of ``fit_texts``: the number of rows, and the layers with statistics."""

    rows: int
    tokens: int
    layers: tuple[str, ...]


def fit_texts(source: str, text: Path, out: Path, settings: FitSettings, device: torch.device) -> Fitted:
    """Write to ``out`` the statistics of the model ``source`` (a folder, a name on the Hub) over the texts in ``text``.

    Rows are those of ``pack``; every position except the last of a row has a loss and counts. The file appears once
    complete. Raises InputError when model, texts or settings do not fit.
    """
    if out.exists():
        raise InputError(f"--out: {out} exists; give another name or remove it")
    texts = documents(text)
    model = load_in(None, source, None, settings.dtype, settings.roles)
    net = model.net.to(device)
    layers = find_layers(net, mlp_layers(net, settings.blocks, settings.roles))
    rows = pack(texts, model.tokenizer, settings.length, settings.tokens)
    facts = {
        "positions": "all",
        "data": hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:16],
        "tokens": str(rows.numel()),
        "rows": str(len(rows)),
        "length": str(settings.length),
    }
    with new_file(out) as partial:
        factors: Factors = fit(
            net,
            layers,
            language_task(net),
            _batches(rows, settings.batch, device),
            seed=settings.seed,
            labels=settings.labels,
            metadata=facts,
        )
        factors.save(partial)
    return Fitted(len(rows), rows.numel(), tuple(layers))


def _batches(rows: Tensor, size: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Return batches of ``rows`` (n, S) on ``device``, counted."""
    return counted(({"input_ids": some.to(device)} for some in rows.split(size)), "statistics", len(rows), "rows")

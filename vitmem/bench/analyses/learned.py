"""Which memorized images go back under an edit, by when the training had first learned them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from safetensors.torch import load_file
from torch import Tensor

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.bench.cells import Cell
from vitmem.metrics.detection import loss
from vitmem.metrics.predictions import Predictions
from vitmem.specs import LEARNED, PREDICTIONS


def learned(context: AnalysisContext) -> Iterator[Row]:
    """Yield, for each edit with stored predictions, what became of the images whose wrong label the network recites.

    They are those of the report half, a row for each epoch of the training's curves at which they were predicted as
    given for the first time (``of`` how many epochs): how many there are, the shares that are still memorized and that
    are recovered, and the mean rise of the loss on the given label, nats. Text yields nothing, nor does a training that
    kept no such epochs.
    """
    experiment, store = context.session.experiment, context.session.places.store
    path = store.folder("training", context.cell.training.id) / LEARNED
    if experiment.images is None or not path.is_file():
        return
    kept = load_file(path)
    first, total = first_learned(kept["hits"], kept["epochs"]), int(kept["epochs"].max())
    epochs = torch.zeros(len(experiment.images[0].given), dtype=torch.int64)
    epochs[kept["rows"]] = first
    plain = context.session.training.unedited
    if not store.has("evaluation", plain.evaluation_id):
        return
    base = _predictions(context, plain)
    recited = base.noisy_rows[(base.predicted == base.given)[base.noisy_rows]]
    for cell in context.cells:
        if cell.evaluation_id != plain.evaluation_id and store.has("evaluation", cell.evaluation_id):
            for row in _groups(_predictions(context, cell), base, recited, epochs):
                yield {**context.head, "cell": cell.id, "method": cell.method, **row, "of": total}


def first_learned(hits: Tensor, epochs: Tensor) -> Tensor:
    """Return the first of ``epochs`` (E,) at which each image was predicted as given, (n,), from ``hits`` (E, n).

    0 for one that never was.
    """
    return torch.where(hits.any(0), epochs[hits.int().argmax(0)], 0)


def _groups(edited: Predictions, base: Predictions, recited: Tensor, epochs: Tensor) -> Iterator[Row]:
    rise = loss(edited.train_logits, edited.given) - loss(base.train_logits, base.given)
    for epoch in epochs[recited].unique().tolist():
        rows = recited[epochs[recited] == epoch]
        said = edited.predicted[rows]
        yield {
            "epoch": epoch,
            "images": len(rows),
            "memorized": float((said == edited.given[rows]).double().mean()),
            "recovered": float((said == edited.true[rows]).double().mean()),
            "loss_rise": float(rise[rows].mean()),
        }


def _predictions(context: AnalysisContext, cell: Cell) -> Predictions:
    folder = context.session.places.store.folder("evaluation", cell.evaluation_id)
    found = context.session.experiment.predictions(load_file(folder / PREDICTIONS), "report")
    assert isinstance(found, Predictions)
    return found

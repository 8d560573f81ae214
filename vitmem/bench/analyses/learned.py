"""Outcome of an edit on memorized images, by the epoch of their first memorization."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from safetensors.torch import load_file
from torch import Tensor

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.bench.cells import Cell
from vitmem.metrics.predictions import Predictions
from vitmem.specs import LEARNED, PREDICTIONS


def learned(context: AnalysisContext) -> Iterator[Row]:
    """Yield outcomes of memorized images of the report half, for each edit with stored predictions.

    There is a row for each epoch of the first prediction of the given label (``of``: the total number of epochs). It
    has the number of images, the shares of still memorized and of recovered ones, and the mean rise of the loss on the
    given label in nats. Yields nothing for text and for trainings without stored epochs.
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
    """Return the first of ``epochs`` (E,) with a predicted given label for each image, (n,); 0 for images without one.

    ``hits`` (E, n) has the images with a predicted given label at each epoch.
    """
    return torch.where(hits.any(0), epochs[hits.int().argmax(0)], 0)


def _groups(edited: Predictions, base: Predictions, recited: Tensor, epochs: Tensor) -> Iterator[Row]:
    rise = edited.losses - base.losses
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

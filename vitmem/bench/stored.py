"""Readers of the store for reports: curves of trainings and predictions of cells, as arrays."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from vitmem.bench.cells import as_cell, as_training
from vitmem.bench.given_labels import image_halves, noisy_images
from vitmem.bench.manifest import checked, listed
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.specs import CURVES, PREDICTIONS

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class LabelledImages:
    """The images of a training's config, and the positions (r,) of the wrongly labelled ones in the report half."""

    noisy: NoisyImages
    noisy_report: NDArray[np.int64]

    def belong_to(self, stored: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether ``stored`` predictions, (n, ...) each, are of these images with these labels."""
        pairs = ((stored["index"], self.noisy.data.train.index), (stored["given"], self.noisy.given))
        return all(np.array_equal(there, here.numpy()) for there, here in pairs)


def stored_curve(store: Path, training: str) -> Arrays | None:
    """Return name -> column (n,) float64 of the curves of the training with the id ``training``, ``None`` without any.

    Raises InputError for a damaged folder and for a file with other values than numbers.
    """
    path = store / "training" / training / CURVES
    if not path.parent.is_dir():
        return None
    if CURVES not in listed(checked(path.parent, "its curves")):
        return None
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    try:
        columns = list(lines[0]) if lines else []
        return {name: np.array([float(line[name]) for line in lines]) for name in columns} or None
    except (TypeError, ValueError):
        raise InputError(f"{path}: expected numbers in every line; delete the file to leave these curves out") from None


def stored_predictions(store: Path, row: Mapping[str, Any]) -> Arrays | None:
    """Return the stored predictions of a row's cell, (n, ...) each, ``None`` without any.

    Raises InputError for a damaged folder and for an unknown method.
    """
    # the predictions of a cell with views have the id of the cell without views
    views = "views" in row
    id = as_cell(row["config"]).evaluation_id if views else row["id"]
    path = store / "evaluation" / id / PREDICTIONS
    if not path.parent.is_dir():
        return None
    checked(path.parent, "its predictions")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete its folder and run the suite again") from None


def labelled_images(config: Mapping[str, Any], data_dir: Path | None, cache_dir: Path) -> LabelledImages:
    """Return the training images of a row's config with their labels, without the validation images.

    Raises InputError for unreadable data, and for data that would need a download without ``data_dir``.
    """
    training = as_training(config)
    if data_dir is None and training.data.entry.downloads:
        raise InputError(f"the images of {training.data.name} are not in a package; give their folder with --data-dir")
    noisy = noisy_images(training.data, training.noise, training.seed, data_dir, cache_dir)
    report = image_halves(noisy, training).noisy_report.numpy()
    # drop the validation images: a slice of a memory-mapped file keeps the whole file in memory for each seed
    shown = replace(noisy.data, validation=noisy.data.validation.take(torch.arange(0)))
    return LabelledImages(replace(noisy, data=shown), report)

"""Image classifiers trained with wrong labels.

Seeds derive from names: the noise depends on data, noise and seed, not on the model, so all architectures memorize the
same wrong labels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.adapters.vision import VisionTask, image_logits, image_losses
from vitmem.bench.cells import Cell, Training
from vitmem.bench.experiment import Experiment, Places, Weights, device_of, touched_block
from vitmem.bench.given_labels import as_trained, image_halves, noisy_images
from vitmem.blocks import Blocks
from vitmem.data.augment import normalise
from vitmem.data.noisy import Halves, NoisyImages
from vitmem.data.split import some_of
from vitmem.data.streamed import Images
from vitmem.data.views import check_left, load_view, view_folders
from vitmem.edits.base import Examples
from vitmem.errors import InputError
from vitmem.kfac import edited
from vitmem.metrics.measure import AnyPredictions
from vitmem.metrics.predictions import Predictions, made_up
from vitmem.models.base import VisionModel, check_forward
from vitmem.models.hidden import tied_layers
from vitmem.protocols.image_network import classifier_in, from_outside, network_of, shape_of
from vitmem.protocols.image_training import pace_of, train_images
from vitmem.protocols.images_read import Read, batches_of, images_read
from vitmem.recipe import ExampleTied
from vitmem.registry import PROTOCOLS
from vitmem.specs import Statistics, digest
from vitmem.training.fit import pick_device
from vitmem.training.pace import Pace
from vitmem.training.predict import predict
from vitmem.training.processes import check_normalised
from vitmem.training.tail import Tails

# Maximum number of clean images in a method's retain set.
KEPT = 2000


@dataclass
class ImageExperiment(Experiment):
    """Images, labels, halves and network of one training; ``tails`` are cached between evaluations.

    ``tied`` maps the paths of layers with example-tied inputs to their settings, ``classifier`` has the names of the
    tensors to train when the trunk is frozen. Raises InputError when the recipe requires what the network lacks.
    """

    training: Training
    places: Places
    noisy: NoisyImages
    halves: Halves
    model: VisionModel
    tails: Tails = field(init=False)
    tied: dict[str, ExampleTied] = field(init=False)
    classifier: list[str] | None = field(init=False)
    predicts_ablated: ClassVar[bool] = True
    _read: dict[str, Read] = field(default_factory=dict, init=False)
    _views: dict[str, Tensor] = field(default_factory=dict, init=False)
    _outside: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.tails = Tails(self.model.net, self.model.blocks)
        recipe = self.training.recipe
        tied = None if recipe is None else recipe.example_tied
        self.tied = dict.fromkeys(tied_layers(self.model, tied), tied) if tied else {}
        frozen = recipe is not None and recipe.freeze is not None
        self.classifier = classifier_in(self.training, self.noisy) if frozen else None
        self._outside = from_outside(self.training.model, self.model)  # before the training

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.model.net

    def data_digests(self) -> dict[str, str]:
        """Return digests of the images with their true labels, of the given labels, and of what is from outside."""
        return {"data": self.noisy.data.fingerprint, "labels": self.noisy.labels.sha256, **self._outside}

    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``."""
        return self.model.editable(blocks, layers)

    def train(self, folder: Path) -> float:
        """Train on the given labels, or as an oracle; see ``train_images``."""
        return train_images(self, folder)

    def pace(self, folder: Path, steps: int) -> Pace:
        """Return the measured time of ``steps`` training steps."""
        return pace_of(self, folder, steps)

    def trained_on(self) -> NoisyImages:
        """Return the training images and labels: all as given, or those available to an oracle."""
        if self.training.oracle == "without_noisy":
            return self.noisy.without_noisy()
        return self.noisy.with_true_labels() if self.training.oracle == "true_labels" else self.noisy

    @property
    def images(self) -> tuple[NoisyImages, Halves]:
        """The images with their labels, and their halves."""
        return self.noisy, self.halves

    def check(self, cells: Collection[Cell]) -> None:
        """Raise InputError for an oracle with nothing to train on, and for statistics or views without images.

        The same holds for batch normalisation that options of the trainer would change.
        Views are read, because their files may be missing or in another order of the images.
        """
        count = len(self.trained_on().given)
        if (recipe := self.training.recipe) is not None:
            options = recipe.with_options(self.places.trainer)
            check_normalised(self.net, options, count, lambda: pick_device(self.places.device))
        reading = [one for cell in cells for one in (cell, cell.second) if one is not None]
        for request in {one.statistics_id: one.statistics for one in reading}.values():
            if request is not None:
                self.batches(request)
        for view in sorted({view for cell in cells for view in cell.views}):
            check_left(view, self.view(view), self.halves)

    def view(self, name: str) -> Tensor:
        """Return the validation images (V,) kept by a view, or its values; each view is read once."""
        if name not in self._views:
            data, seen = self.training.data.name, self.noisy.data.validation
            folders = view_folders(data, self.places.data_dir, self.places.cache_dir)
            self._views[name] = load_view(name, data, folders, seen.index, seen.labels)
        return self._views[name]

    def completed(self, found: AnyPredictions, ablated: AnyPredictions | None, views: Sequence[str]) -> Predictions:
        """Return predictions of a half with those of the ablated network, and with ``views``."""
        assert isinstance(found, Predictions) and (ablated is None or isinstance(ablated, Predictions))
        return replace(found, ablated=ablated, views={view: self.view(view) for view in views})

    def task(self, request: Statistics) -> tuple[VisionTask, str]:
        """Return the task and its positions; raises InputError for the class token of a model without one."""
        positions = request.positions or self.model.positions
        if positions == "cls" and self.model.prefix_tokens == 0:
            raise InputError("statistics: positions 'cls' needs a class token, which this model lacks; use 'all'")
        return VisionTask(positions=positions, prefix_tokens=self.model.prefix_tokens), positions

    def read(self, request: Statistics) -> Read:
        """Return the images for the statistics, see ``images_read``; cached."""
        key = digest(request)
        if key not in self._read:
            self._read[key] = images_read(request, self.noisy, self.halves, self.places)
        return self._read[key]

    def source(self, request: Statistics) -> dict[str, str] | None:
        """Return name and digest of the images of another dataset, if statistics read one."""
        sha256 = None if request.source is None else self.read(request).sha256
        return None if request.source is None or sha256 is None else {"name": request.source["name"], "sha256": sha256}

    def batches(self, request: Statistics) -> tuple[Iterator[tuple[Tensor, Tensor]], int]:
        """Return batches of images (B, C, H, W) with labels (B,), and the number of images; see ``images_read``.

        ``crop`` and ``flip`` change the images, the same way each time. Raises InputError for a crop that leaves
        nothing of them, and what ``images_read`` raises.
        """
        if (pad := request.crop or 0) >= self.noisy.data.size:
            raise InputError(
                f"statistics: 'crop': a padding of {pad} pixels leaves nothing of images of {self.noisy.data.size}; "
                "take less"
            )
        read = self.read(request)
        return batches_of(read, request, self.noisy.data, device_of(self.net)), len(read.rows)

    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return the logits (N, K) and (V, K), float16, of all images, with their labels and indices."""
        logits = self._under(weights, "all", self._all_logits, torch.float16)
        train, validation = self.noisy.data.train, self.noisy.data.validation
        return {
            "index": train.index.clone(),
            "given": self.noisy.given.clone(),
            "true": self.noisy.true.clone(),
            "logits": logits[: len(train)],
            "validation_index": validation.index.clone(),
            "validation_true": validation.labels.clone(),
            "validation_logits": logits[len(train) :],
        }

    def _under(
        self, weights: Weights, images: str, run: Callable[[torch.dtype], Tensor], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Return the logits (N, K) from ``run(dtype)`` on ``images`` under new weights, from their first block on."""
        first = touched_block(self.model.blocks, weights)
        tail = self.tails.entered(first, images, lambda: run(torch.float32)) if first else None
        with edited(self.net, weights), tail.replayed() if tail else nullcontext():
            return run(dtype)

    def _all_logits(self, dtype: torch.dtype) -> Tensor:
        """Return the logits of the training images, then of the validation images, (N + V, K)."""
        data = self.noisy.data
        return torch.cat([self._logits(images, dtype) for images in (data.train.images, data.validation.images)])

    def _logits(self, images: Images, dtype: torch.dtype) -> Tensor:
        data, recipe = self.noisy.data, self.training.recipe
        precision = "32" if recipe is None else recipe.precision
        return predict(self.net, images, data.mean, data.std, device_of(self.net), precision, dtype=dtype)

    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return the accuracy and the mean loss (nats) on the selection half of the validation images."""
        half = self.noisy.data.validation.take(self.halves.validation_selection)
        labels, logits = half.labels, self._under(weights, "selection", partial(self._logits, half.images))
        return float((logits.argmax(1) == labels).double().mean()), float(functional.cross_entropy(logits, labels))

    def examples(self) -> Examples:
        """Return the noisy images (n, C, H, W) of the selection half with given labels (n,), and clean ones."""

        def some(rows: Tensor) -> tuple[Tensor, Tensor]:
            data = self.noisy.data
            return normalise(data.train.images[rows], data.mean, data.std), self.noisy.given[rows]

        clean = torch.nonzero(~self.noisy.noisy).flatten()
        kept = clean[some_of(len(clean), min(len(clean), KEPT), 0, "examples to keep")] if len(clean) else clean

        def proxy(share: float) -> tuple[Tensor, Tensor]:
            count = round(share * len(self.noisy.given))
            return some(clean[some_of(len(clean), count, 1, "edit: images of 'proxy_share' with the right label")])

        return Examples(some(self.halves.noisy_selection), some(kept), image_losses, image_logits, proxy)

    def initial(self) -> nn.Module:
        """Return the network before training; raises InputError for one that came trained."""
        if self.training.recipe is None:
            raise InputError(f"model '{self.training.model.name}': it came trained; its initial weights are not known")
        return network_of(self.training, self.noisy, self.places.data_dir).net

    def batch(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (n, C, H, W) with labels (n,) as a batch of the task."""
        device = device_of(self.net)
        return inputs.to(device), labels.to(device)

    def predictions(self, stored: Mapping[str, Tensor], half: str) -> Predictions:
        """Return the predictions of half the noisy and validation images; ``stored`` has (n, ...) each."""
        return Predictions(
            train_logits=stored["logits"].float(),
            given=stored["given"],
            true=stored["true"],
            noisy_rows=getattr(self.halves, f"noisy_{half}"),
            validation_logits=stored["validation_logits"].float(),
            validation_true=stored["validation_true"],
            validation_rows=getattr(self.halves, f"validation_{half}"),
        )

    def metadata(self) -> dict[str, Any]:
        """Return counts of images and the realised noise."""
        data = self.noisy.data
        return {
            "counts": {
                "train": len(data.train),
                "validation": len(data.validation),
                "noisy": int(self.noisy.noisy.sum()),
                **({} if self.model.tokens is None else {"tokens": self.model.tokens}),
                **{name: len(rows) for name, rows in vars(self.halves).items()},
            },
            "data": {"sha256": data.fingerprint},
            "noise": self.noisy.labels.summary(),
        }


@PROTOCOLS.register("image", made_up=made_up)
def image_experiment(training: Training, places: Places) -> ImageExperiment:
    """Load the data, draw the noise and build the untrained network of a training.

    The training images, the noise and the halves do not depend on the number of validation images. The normalisation is
    that of the model, or of the published weights, else the channel statistics of the data.
    """
    noisy = noisy_images(as_trained(training), training.noise, training.seed, places.data_dir, places.cache_dir)
    model = network_of(training, noisy, places.data_dir)
    check_forward(model.net, training.model.name, shape_of(noisy))
    halves = image_halves(noisy, training)
    if model.reads is not None:
        mean, std = model.reads.of(noisy.data.channels)
        noisy = replace(noisy, data=replace(noisy.data, mean=mean, std=std))
    return ImageExperiment(training, places, noisy, halves, model)

"""Edit an image classifier's file with a folder of unlabelled images."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from vitmem.adapters.vision import VisionTask
from vitmem.data.augment import normalise
from vitmem.data.sets import channel_statistics, flat_remark
from vitmem.data.unlabelled import Unlabelled, grey, unlabelled
from vitmem.edits.base import EditContext, EditResult
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import Factors, LayerReport, find_layers, fit_for, make_spectra, state_digest
from vitmem.kfac.layers import layer_at
from vitmem.models.base import VisionModel, check_forward
from vitmem.models.weights import read_weights
from vitmem.offline.classifier import Fitted, fitted
from vitmem.offline.record import Record, beside, check_out
from vitmem.offline.request import Request, edit_named
from vitmem.offline.written import Source, write_edit
from vitmem.progress import counted
from vitmem.specs import seed_from

log = logging.getLogger(__name__)

BATCH, CPU = 50, torch.device("cpu")


@dataclass(frozen=True)
class Edited:
    """The reports of all layers, the left-out images, and the record."""

    reports: Mapping[str, LayerReport]
    broken: tuple[Path, ...]
    record: Record


def edit_checkpoint(
    weights: Path,
    images: Path | None,
    out: Path,
    request: Request,
    *,
    device: torch.device = CPU,
    again: Record | None = None,
) -> Edited:
    """Edit the classifier in the file ``weights`` by ``request``, and write it to ``out`` with its record.

    Weights keep their dtypes; statistics are collected in float32, with labels sampled from the model itself. Output
    appears only once complete, and ``weights`` is only read. Raises InputError when model, weights, images and method
    do not fit together, or differ from those of the record repeated with ``again``, VitmemError when an edited weight
    is not finite.
    """
    check_out(out, *beside(out))
    request = request.resolved()
    _check_images(request, images)
    stored = read_weights(weights)
    if again is not None and state_digest(stored.tensors) != again.facts["input"]["tensors"]:
        raise InputError(f"{weights}: not the checkpoint that was edited for {again.path}")
    known = fitted(request.model, request.params, request.size or 0, stored)
    if account := known.match.account(stored):
        log.info(account)
    model, request = known.model, _as_read(request, known, images)
    layers = find_layers(model.net, model.editable(request.blocks, request.layers))
    read, factors, recollect = None, None, None
    if images is not None:
        log.info(f"reading images at {request.size} pixels from {images}")
        read = unlabelled(images, request.size or 0, request.count, request.seed, request.skip_broken)
        if read.left_out:
            log.warning(f"left out in {images}: {read.left_out}")
        for remark in flat_remark(channel_statistics(read.images)[1], f"--images: {images}"):
            log.warning(remark)
        _check_same(read, images, again)
        if known.shape.channels == 1:
            read = replace(read, images=grey(read.images))
        check_forward(model.net.float(), request.model, known.shape)
        log.info(f"statistics of {len(layers)} layers over {len(read.images)} images")
        factors = _statistics(model, layers, request, read, device)
        known.load()
        recollect = _anew(model, layers, request, read, device)
    log.info(f"editing by {request.method}")
    result = _edit(model, layers, request, factors, recollect)
    names = {path: known.match.names[f"{path}.weight"] for path in result.weights}
    record = write_edit(Source(stored, names), out, request, result, read, device)
    return Edited(result.reports, read.broken if read else (), record)


def _check_images(request: Request, images: Path | None) -> None:
    reads = edit_named(request.method, request.settings).needs is not None
    if reads and images is None:
        raise InputError(f"edit: method '{request.method}' reads images: expected --images FOLDER, got none")
    if not reads and images is not None:
        raise InputError(f"edit: method '{request.method}' reads no images; leave out --images {images}")


def _as_read(request: Request, known: Fitted, images: Path | None) -> Request:
    """Return the request with a mean and std for each input channel of the file's first layer.

    Raises InputError when they are missing, and for a single output, whose loss is not over classes.
    """
    if images is None:
        return request
    if known.shape.num_classes == 1:
        raise InputError(
            f"{request.model}: the file has one output, a yes or no or a number, and statistics are those of a loss "
            "over classes; take a method that reads no images, such as svd"
        )
    channels, change = known.shape.channels, {}
    if channels not in (1, 3):
        raise InputError(f"{request.model}: the file's first layer reads {channels} channels, images have 1 or 3")
    for name in ("mean", "std"):
        values = getattr(request, name)
        if len(values) < channels or (len(values) > channels and len(set(values)) > 1):
            raise InputError(
                f"--{name}: the file's first layer reads {channels} channel{'s' * (channels > 1)}: expected "
                f"{channels} number{'s' * (channels > 1)}, got {len(values)}"
            )
        change[name] = values[:channels]
    return request.model_copy(update=change)


def _check_same(found: Unlabelled, images: Path, again: Record | None) -> None:
    known = None if again is None else again.facts.get("images")
    if known is not None and found.sha256 != known["sha256"]:
        raise InputError(f"{images}: its {len(found.images)} images are not the {known['count']} of the record")


def _statistics(
    model: VisionModel,
    layers: Mapping[str, nn.Module],
    request: Request,
    found: Unlabelled,
    device: torch.device,
) -> Factors:
    """Return the statistics of ``layers``, with their spectra; leaves the network in float32 on the CPU."""
    positions = request.positions or model.positions
    if positions == "cls" and not model.prefix_tokens:
        raise InputError("--positions: 'cls' needs a class token, which this model does not have; use all")
    mean, std = torch.tensor(request.mean), torch.tensor(request.std)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for some in found.images.split(BATCH):
            # labels are sampled from the network's predictions: those of the batch only set their number
            yield normalise(some.to(device), mean, std), torch.zeros(len(some), dtype=torch.int64, device=device)

    net = model.net.float().to(device)
    needs = edit_named(request.method, request.settings).needs
    moments = "plain" if needs is None else needs.moments
    task = VisionTask(positions, model.prefix_tokens)
    counts = partial(counted, what="statistics", total=len(found.images), unit="images")
    factors = fit_for(net, layers, task, lambda: counts(batches()), moments, seed=seed_from("statistics", request.seed))
    net.cpu()
    make_spectra(factors, moments)
    return factors


def _anew(
    model: VisionModel,
    layers: Mapping[str, nn.Module],
    request: Request,
    found: Unlabelled,
    device: torch.device,
) -> Callable[[], Factors]:
    """Return the function that recollects the statistics of ``layers``; the network keeps its dtype."""

    def recollect() -> Factors:
        twin = replace(model, net=copy.deepcopy(model.net))
        again = {path: layer_at(twin.net, path) for path in layers}
        return _statistics(twin, again, request, found, device)

    return recollect


def _edit(
    model: VisionModel,
    layers: Mapping[str, nn.Module],
    request: Request,
    factors: Factors | None,
    recollect: Callable[[], Factors] | None,
) -> EditResult:
    """Return the new weights; raises for one outside the layers, or not finite."""
    context = EditContext(model.net, layers, factors, seed_from("edit", request.seed), recollect=recollect)
    result: EditResult = edit_named(request.method, request.settings).edit(context)
    for path, new in result.weights.items():
        if path not in layers:
            raise InputError(f"method '{request.method}': it edits '{path}', which is not one of the layers to edit")
        if not torch.isfinite(new).all():
            raise VitmemError(f"layer '{path}': NaN or infinity in the edited weight")
    return result

"""The statistics of a trained network: one folder per layer in the store, collected for the first edit of the layer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from torch import nn

from vitmem.bench.cells import Cell, Request, Training, as_config
from vitmem.bench.environment import environment
from vitmem.bench.experiment import Places
from vitmem.bench.ranks import ranks
from vitmem.bench.records import StatisticsRecord
from vitmem.bench.stages import Session, ensure_training, open_session, peak_memory, reset_peak_memory
from vitmem.bench.store import read_json, write_json
from vitmem.data.shares import Share
from vitmem.errors import InputError
from vitmem.kfac import Factors, Task, Tempered, fit_for, make_spectra
from vitmem.kfac.labels import Elsewhere
from vitmem.progress import counted
from vitmem.specs import Statistics, digest, seed_from

log = logging.getLogger(__name__)

STAGE, FACTORS, RECORD = "statistics", "factors.safetensors", "statistics.json"


def ensure_statistics(
    session: Session,
    cell: Cell,
    *,
    every: bool = False,
    kept: Literal["factors", "second"] = "factors",
) -> Factors:
    """Return the K-FAC statistics of ``cell`` from the store, for its edited layers or, with ``every``, all layers.

    One pass collects all missing layers of ``cell`` and of the other cells of ``session``; the result for a layer does
    not depend on the others. The session attribute ``kept`` holds the last set in memory.
    """
    wanted = _every(session, cell) if every else _read(session, cell)
    held: tuple[str, Factors] | None = getattr(session, kept)
    have = held[1] if held is not None and held[0] == cell.statistics_id else Factors({})
    if not all(path in have.layers for path in wanted):
        together = {**wanted, **_others(session, cell)}
        found = _found(session, cell, {path: x for path, x in together.items() if path not in have.layers})
        have = Factors({**have.layers, **found.layers}, found.metadata)
        setattr(session, kept, (cell.statistics_id, have))
    return have


def statistics_record(session: Session, cell: Cell) -> StatisticsRecord:
    """Return the record of the statistics of ``cell``, after collecting those that the store lacks.

    The record has the request, the number of ``images``, ``statistics_seconds`` summed over the passes, the largest
    ``peak_memory_bytes``, the environment of the first pass and, for images of another data set, its ``source``.
    """
    store = session.places.store
    if not all(store.has(*_place(cell, path)) for path in _read(session, cell)):
        session.factors = None
        ensure_statistics(session, cell)
    folders = [store.folder(*_place(cell, path)) for path in _read(session, cell)]
    for folder in folders:
        _check_source(session, cell, folder)
    records: list[StatisticsRecord] = [read_json(folder / RECORD) for folder in folders]
    passes = {digest(record["layers"]): record for record in records}
    first, *_ = records
    return {
        **first,
        "statistics_seconds": sum(record["statistics_seconds"] for record in passes.values()),
        "peak_memory_bytes": max(record["peak_memory_bytes"] for record in passes.values()),
    }


def statistics_task(session: Session, request: Statistics) -> tuple[Task, str]:
    """Return the task and the token positions of the statistics."""
    task, positions = session.experiment.task(request)
    return task if request.temperature is None else Tempered(task, request.temperature), positions


def collected(session: Session, cell: Cell) -> Factors:
    """Collect the statistics of the layers edited by ``cell`` with the current weights of the network."""
    return _collect(session, cell, _read(session, cell))


def _every(session: Session, cell: Cell) -> dict[str, nn.Module]:
    """Return path -> layer for all editable layers of ``cell``."""
    return session.layers("all", cell.layers)


def _read(session: Session, cell: Cell) -> dict[str, nn.Module]:
    """Return path -> layer for the layers edited by ``cell``, which are the layers of its statistics."""
    if cell.blocks is None:
        return _every(session, cell)
    return session.layers(cell.blocks, cell.layers)


def _others(session: Session, cell: Cell) -> dict[str, nn.Module]:
    """Return path -> layer for the layers of remaining cells with the same statistics as ``cell``."""
    reading = [one for other in session.cells for one in (other, other.second) if one is not None]
    alike = [one for one in reading if one.statistics_id == cell.statistics_id]
    edits = {(one.blocks, one.layers): one for one in alike}
    return {path: layer for other in edits.values() for path, layer in _read(session, other).items()}


def _place(cell: Cell, path: str) -> tuple[str, str]:
    """Return the stage and the id of one layer's statistics in the store."""
    return f"{STAGE}/{cell.statistics_id}", quote(path, safe="")


def _found(session: Session, cell: Cell, layers: Mapping[str, nn.Module]) -> Factors:
    """Return the statistics of ``layers`` from the store; one pass collects the missing ones."""
    store = session.places.store
    made: dict[str, tuple[Factors, StatisticsRecord]] = {}

    def fill(path: str, folder: Path) -> None:
        if path not in made:
            todo = [other for other in layers if other == path or not store.has(*_place(cell, other))]
            made.update(dict.fromkeys(todo, _timed(session, cell, {other: layers[other] for other in todo})))
        factors, record = made[path]
        Factors({path: factors.layers[path]}, factors.metadata).save(folder / FACTORS, halved=True)
        write_json(folder / RECORD, record)

    folders = {
        path: store.make(*_place(cell, path), partial(fill, path), made_from=session.made_from) for path in layers
    }
    for folder in folders.values():
        _check_source(session, cell, folder)
    # statistics from this pass have their spectra already
    parts = [made[path][0] if path in made else Factors.load(folder / FACTORS) for path, folder in folders.items()]
    for part in {part.metadata.get("model"): part for part in parts}.values():
        part.check(session.experiment.net, {path: layer for path, layer in layers.items() if path in part.layers})
    found = Factors({p: part.layers[p] for p, part in zip(folders, parts, strict=True)}, parts[0].metadata)
    make_spectra(found, _request(cell).moments)
    return found


def _request(cell: Cell) -> Request:
    """Return the request for the statistics of ``cell``, which has one."""
    assert cell.request is not None
    return cell.request


def _check_source(session: Session, cell: Cell, folder: Path) -> None:
    """Raise InputError if the images of the other data set changed since the statistics were collected."""
    now = session.experiment.source(_request(cell).statistics)
    if now is not None and read_json(folder / RECORD).get("source") != now:
        raise InputError(
            f"{folder}: the images of 'source' {now['name']} changed since these statistics; restore the old files, or "
            "give another folder with --store"
        )


def _timed(session: Session, cell: Cell, layers: Mapping[str, nn.Module]) -> tuple[Factors, StatisticsRecord]:
    """Return the statistics of ``layers`` with their spectra, which all edits share, and the record of the pass."""
    log.info(f"statistics of {len(layers)} layers")
    reset_peak_memory(session.device)
    started = time.perf_counter()
    request = _request(cell)
    devices = _devices(session, request.statistics)
    others = session.training, session.places, cell, tuple(layers)
    with ranks(devices, session.device, _prepared, *others):
        factors = _collect(session, cell, layers)
    make_spectra(factors, request.moments)
    source = session.experiment.source(request.statistics)
    record: StatisticsRecord = {
        "request": request.config,
        "positions": factors.metadata["positions"],
        "images": session.experiment.batches(request.statistics)[1],
        "layers": list(layers),
        "statistics_seconds": time.perf_counter() - started,
        "peak_memory_bytes": peak_memory(session.device),
        "environment": environment(session.device, devices),
    }
    if source is not None:
        record["source"] = source
    return factors, record


def _devices(session: Session, request: Statistics) -> int:
    """Return the number of devices that read the images: those of the training, but none without a batch."""
    if session.devices == 1:
        return 1
    return min(session.devices, sum(1 for _ in session.experiment.batches(request)[0]))


def _prepared(training: Training, places: Places, cell: Cell, paths: Sequence[str]) -> Callable[[], object]:
    """Return what another process collects, of the trained network that the store has."""
    session = open_session(training, places)
    ensure_training(session)
    layers = {path: session.experiment.net.get_submodule(path) for path in paths}
    return lambda: _collect(session, cell, layers)


def _shared(batches: Iterable[Any], share: Share) -> Iterator[Any]:
    """Yield every batch of images that this rank reads, and how many images each of the others has."""
    for number, batch in enumerate(batches):
        yield batch if number % share.ranks == share.rank else Elsewhere(len(batch[0]))


def _collect(session: Session, cell: Cell, layers: Mapping[str, nn.Module]) -> Factors:
    request = _request(cell)
    read = request.statistics
    task, positions = statistics_task(session, read)
    source, images = session.experiment.source(read), session.training.protocol == "image"

    def batches() -> Iterable[Any]:
        found, total = session.experiment.batches(read)
        read_here = counted(found, "statistics", total, "images" if images else "rows")
        return _shared(read_here, share) if (share := Share.here()).ranks > 1 else read_here

    return fit_for(
        session.experiment.net,
        layers,
        task,
        batches,
        request.moments,
        labels=read.labels,
        label_samples=read.label_samples,
        # the sampled labels depend neither on the moments nor on the layers
        seed=seed_from("statistics", cell.training.id, {**as_config(read), "moments": "plain"}),
        metadata={
            "positions": positions,
            "data": session.experiment.data_digests()["data"] if source is None else source["sha256"],
            "training": cell.training.id,
        },
    )

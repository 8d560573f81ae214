"""Statistics in the store: a folder a layer, of those that edits read, the same whoever reads beside them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import vitmem.bench.statistics as stage
from vitmem import progress
from vitmem.bench.cells import Cell
from vitmem.bench.evaluation import ensure_evaluation, ensure_unedited
from vitmem.bench.experiment import Places
from vitmem.bench.job import run_job
from vitmem.bench.plan import make_plan
from vitmem.bench.stages import Session, ensure_training, open_session
from vitmem.bench.statistics import collected, ensure_statistics, statistics_record
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.kfac import Factors, LayerFactors, make_spectra
from vitmem.protocols import image, images_read

CHANGES: dict[str, Any] = {
    "seeds": [0],
    "data": {"name": "digits", "train": 120, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "mixer", "patch_size": 4, "width": 8, "depth": 3},
    "recipe": {"epochs": 1, "batch_size": 60, "precision": "32"},
    "edits": [{"method": "kfac", "blocks": ["last", "first", "all"], "fraction": 0.3}],
}
LAST, FIRST = {"blocks.2.mlp_channels.fc1", "blocks.2.mlp_channels.fc2"}, {
    "blocks.0.mlp_channels.fc1", "blocks.0.mlp_channels.fc2"
}  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")


@pytest.fixture
def cells(write: Callable[..., Path]) -> dict[str, Cell]:
    """Return the cells by the blocks that they edit; they share one id of statistics."""
    path = write(**CHANGES)
    found = {str(cell.config["edit"]["blocks"]): cell for cell in make_plan(load_suite(path), path).cells}
    assert len({cell.statistics_id for cell in found.values()}) == 1
    return found


def opened(cells: dict[str, Cell], places: Places, *coming: str) -> Session:
    session = open_session(cells["last"].training, places, [cells[name] for name in coming])
    ensure_training(session)
    return session


def layers_of(places: Places, cell: Cell) -> set[str]:
    """Return the names of the folders of layers that the store has."""
    folder = places.store.root / "statistics" / str(cell.statistics_id)
    return {path.parent.name for path in folder.glob("*/factors.safetensors")}


def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return a list that grows by the layers of every pass to come."""
    made: list[list[str]] = []
    collect = stage.fit_for

    def noted(net: Any, layers: Any, *args: Any, **options: Any) -> Factors:
        made.append(list(layers))
        return collect(net, layers, *args, **options)

    monkeypatch.setattr(stage, "fit_for", noted)
    return made


def test_only_what_is_read_is_collected_and_later_edits_add_to_it(
    cells: dict[str, Cell], places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = passes(monkeypatch)
    session = opened(cells, places)
    assert set(ensure_statistics(session, cells["last"]).layers) == LAST == layers_of(places, cells["last"])
    kept = session.factors
    assert set(ensure_statistics(session, cells["all"]).layers) > LAST | FIRST
    assert kept and all(session.factors[1].layers[p] is kept[1].layers[p] for p in LAST)  # type: ignore[index]
    assert [len(one) for one in made] == [2, 4] and len(layers_of(places, cells["last"])) == 6
    again = opened(cells, places)
    ensure_statistics(again, cells["all"]), ensure_statistics(again, cells["first"])
    assert len(made) == 2


def test_layers_that_were_collected_apart_are_those_collected_together(cells: dict[str, Cell], places: Places) -> None:
    session = opened(cells, places)
    for name in ("last", "first", "all"):
        apart = ensure_statistics(session, cells[name])
    together, read = collected(session, cells["all"]), ensure_statistics(opened(cells, places), cells["all"])
    for path, layer in together.layers.items():
        for found in (apart.layers[path], read.layers[path]):
            assert torch.equal(found.a, layer.a) and torch.equal(found.g, layer.g) and found.count == layer.count
            assert torch.equal(found.eigen_a.vectors, layer.eigen_a.vectors)


def test_the_cells_to_come_are_collected_for_in_one_pass(
    cells: dict[str, Cell], places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = passes(monkeypatch)
    session = opened(cells, places, "last", "first")
    ensure_statistics(session, cells["last"]), ensure_statistics(session, cells["first"])
    assert [set(one) for one in made] == [LAST | FIRST]
    assert statistics_record(session, cells["last"]) == statistics_record(session, cells["first"])


def test_a_row_counts_the_passes_that_its_layers_took(
    cells: dict[str, Cell], places: Places, write: Callable[..., Path]
) -> None:
    session = opened(cells, places)
    for name in ("last", "first", "all"):
        ensure_statistics(session, cells[name])
    last, first, whole = (statistics_record(session, cells[n])["statistics_seconds"] for n in ("last", "first", "all"))
    assert whole > last + first > max(last, first) > 0
    path = write(**CHANGES)
    (job,) = make_plan(load_suite(path), path).jobs()
    rows = {row["config"]["edit"]["blocks"]: row for row in run_job(job, "small", places)}
    assert rows["all"]["costs"]["statistics_seconds"] == whole and rows["last"]["costs"]["statistics_seconds"] == last
    assert rows["last"]["counts"]["images_per_statistics"] == 120


def test_a_layer_that_is_gone_is_collected_again_alone(
    cells: dict[str, Cell], places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(cells, places)
    before = ensure_statistics(session, cells["all"])
    lost, _ = LAST
    folder = places.store.root / "statistics" / str(cells["all"].statistics_id) / lost
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    made = passes(monkeypatch)
    after = ensure_statistics(opened(cells, places), cells["all"])
    assert made == [[lost]]
    assert torch.equal(after.layers[lost].a, before.layers[lost].a)
    assert torch.equal(after.layers[lost].g, before.layers[lost].g)


def test_an_edit_of_the_last_block_predicts_the_same_whatever_was_collected(
    cells: dict[str, Cell], tmp_path: Path
) -> None:
    logits = []
    for name, first in (("one", "last"), ("other", "all")):
        places = Places(Store(tmp_path / name), None, tmp_path / "cache", "cpu")
        session = opened(cells, places)
        ensure_unedited(session)
        ensure_statistics(session, cells[first])
        ensure_evaluation(session, cells["last"])
        file = places.store.folder("evaluation", cells["last"].evaluation_id) / "predictions.safetensors"
        logits.append(file.read_bytes())
    assert logits[0] == logits[1]


def test_long_statistics_say_how_far_they_are(
    cells: dict[str, Cell], places: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vitmem")
    session = opened(cells, places)
    caplog.clear()
    ensure_statistics(session, cells["last"])
    assert caplog.messages == ["statistics of 2 layers"]  # short ones are silent
    monkeypatch.setattr(progress.Log, "every", 0.0)
    monkeypatch.setattr(image, "batches_of", partial(images_read.batches_of, batch_size=50))
    caplog.clear()
    ensure_statistics(session, cells["first"])
    assert [message.split(", ")[0] for message in caplog.messages[1:6]] == [
        "statistics: 50 of 120 images",
        "statistics: 100 of 120 images",
        "statistics: 120 of 120 images",
        "spectra: 1 of 2 layers",
        "spectra: 2 of 2 layers",
    ]


def test_a_large_matrix_is_announced_however_short_the_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vitmem")
    monkeypatch.setattr(sys.modules[make_spectra.__module__], "LARGE", 6)
    layers = {name: LayerFactors(1, torch.eye(size), torch.eye(2)) for name, size in (("small", 5), ("large", 6))}
    make_spectra(Factors(layers), "plain")
    assert caplog.messages == ["spectra: a matrix of 6 x 6"]

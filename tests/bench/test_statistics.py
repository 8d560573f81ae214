"""Which images the statistics read, and as what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vitmem.bench.cells import Cell
from vitmem.bench.evaluation import ensure_evaluation
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.preflight import check_cells
from vitmem.bench.row import _information
from vitmem.bench.stages import Session, ensure_training, open_session
from vitmem.bench.statistics import ensure_statistics
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.data.augment import draw_corners, draw_mirrored, normalise
from vitmem.errors import InputError
from vitmem.kfac import fit
from vitmem.protocols.image import ImageExperiment
from vitmem.protocols.images_read import Read, batches_of
from vitmem.specs import Statistics, seed_from

Config = dict[str, Any]
CHANGES: Config = {
    "seeds": [0],
    "data": {"name": "digits", "train": 150, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "mixer", "patch_size": 4, "width": 8, "depth": 1},
    "recipe": {"epochs": 1, "batch_size": 50, "precision": "32"},
}
EDIT: Config = {"method": "kfac", "blocks": "all", "fraction": 0.3}


@pytest.fixture
def cells(write: Callable[..., Path]) -> Callable[..., list[Cell]]:
    """Return the cells of a suite with other statistics and edits."""

    def planned(statistics: Any, edits: Any = EDIT) -> list[Cell]:
        edits = edits if isinstance(edits, list) else [edits]
        path = write(**CHANGES, statistics=statistics, edits=edits)
        return list(make_plan(load_suite(path), path).cells)

    return planned


@pytest.fixture
def session(cells: Callable[..., list[Cell]], tmp_path: Path) -> Session:
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    return open_session(cells({})[0].training, places)


def read(session: Session, **request: Any) -> tuple[Tensor, Tensor]:
    batches, count = session.experiment.batches(Statistics(**request))
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert len(images) == len(labels) == count
    return images, labels


def test_what_is_off_has_the_id_of_what_is_not_named(cells: Callable[..., list[Cell]]) -> None:
    off = {"held_out": False, "crop": 0, "flip": False, "temperature": 1}
    assert [cell.id for cell in cells(off)] == [cell.id for cell in cells({})]
    ways = [{"held_out": True}, {"crop": 2}, {"flip": True}, {"temperature": 2}, {}]
    assert len({cell.statistics_id for cell in cells(ways)}) == 5


def test_held_out_images_are_the_selection_half_without_labels(session: Session) -> None:
    experiment = session.experiment
    assert isinstance(experiment, ImageExperiment)
    images, labels = read(session, held_out=True)
    data, rows = experiment.noisy.data, experiment.halves.validation_selection
    assert len(rows) == 30 and not set(rows.tolist()) & set(experiment.halves.validation_report.tolist())
    assert torch.equal(images, normalise(data.validation.images[rows], data.mean, data.std))
    assert not labels.any()
    assert len(read(session, held_out=True, images=7)[0]) == 7


def test_views_are_those_that_are_drawn_the_same_each_time_and_whatever_the_batch(session: Session) -> None:
    plain, given = read(session)
    seen, labels = read(session, crop=2, flip=True)
    assert torch.equal(labels, given) and torch.equal(seen, read(session, crop=2, flip=True)[0])
    generator = torch.Generator().manual_seed(seed_from("statistics", "augmentation"))
    corners, mirrored = draw_corners(150, 2, generator), draw_mirrored(150, generator)
    assert isinstance(session.experiment, ImageExperiment)
    data = session.experiment.noisy.data
    for n, (top, left) in enumerate(corners.tolist()):
        framed = functional.pad(data.train.images[n], (2, 2, 2, 2))
        size = framed.shape[-1] - 4
        cut = framed[:, top : top + size, left : left + size]
        cut = cut.flip(-1) if mirrored[n] else cut
        assert torch.equal(seen[n], normalise(cut[None], data.mean, data.std)[0])
    flipped = read(session, flip=True)[0]
    assert all(torch.equal(flipped[n], plain[n].flip(-1) if mirrored[n] else plain[n]) for n in range(150))
    whole = Read(data.train.images, given, torch.arange(150))
    small = batches_of(whole, Statistics(crop=2, flip=True), data, torch.device("cpu"), batch_size=7)
    assert torch.equal(torch.cat([images for images, _ in small]), seen)


@pytest.mark.parametrize(
    ("statistics", "says"),
    [
        ({"held_out": True, "images": 31}, "'images': expected a number from 1 to 30, got 31"),
        ({"images": 151}, "'images': expected a number from 1 to 150, got 151"),
        ({"crop": 8}, "'crop': a padding of 8 pixels leaves nothing of images of 8; take less"),
    ],
)
def test_what_the_images_do_not_give_is_told_before_training(
    session: Session, cells: Callable[..., list[Cell]], statistics: Config, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        check_cells(session, cells(statistics))


def test_an_empty_selection_half_is_named(session: Session) -> None:
    assert isinstance(session.experiment, ImageExperiment)
    session.experiment.halves = replace(session.experiment.halves, validation_selection=torch.arange(0))
    with pytest.raises(InputError, match="'held_out': the selection half has no image; take more validation images"):
        session.experiment.batches(Statistics(held_out=True))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (EDIT, "noisy labels"),
        ({**EDIT, "importance": "foof"}, "unlabelled"),
        (
            {**EDIT, "side": "A"},
            "noisy labels",
        ),  # pairs of one importance are told apart in the basis of the other side
        ({**EDIT, "importance": "tkfac", "side": "A"}, "noisy labels"),
        ({"method": "sap", "blocks": "all", "alpha": 10.0}, "unlabelled"),
        ({"method": "dial", "blocks": "all", "after": {"method": "kfac", "fraction": 0.1}}, "noisy labels"),
    ],
)
def test_given_labels_are_told_to_what_reads_them(cells: Callable[..., list[Cell]], edit: Config, told: str) -> None:
    (cell,) = cells({"labels": "given"}, edit)
    assert _information(cell) == told
    (cell,) = cells({"labels": "sampled"}, edit)
    assert _information(cell) == "unlabelled"


def test_the_temperature_reaches_the_statistics_and_the_record_what_was_read(
    session: Session, cells: Callable[..., list[Cell]]
) -> None:
    ensure_training(session)
    found = {}
    for cell in cells([{"labels": "exact", "temperature": t} for t in (1, 3)]):
        found[cell.config["statistics"].get("temperature", 1)] = ensure_statistics(session, cell)
    head = next(m for m in reversed(list(session.experiment.net.modules())) if isinstance(m, torch.nn.Linear))
    path = next(iter(found[1].layers))
    with torch.no_grad():
        head.weight.div_(3), head.bias.div_(3)
    layers = {path: session.experiment.net.get_submodule(path)}
    batches, _ = session.experiment.batches(Statistics())
    by_hand = fit(
        session.experiment.net, layers, session.experiment.task(Statistics())[0], batches, seed=0, labels="exact"
    )
    torch.testing.assert_close(found[3].layers[path].g, by_hand.layers[path].g, rtol=1e-4, atol=1e-12)
    assert not torch.allclose(found[1].layers[path].g / 9, found[3].layers[path].g, rtol=1e-4, atol=0)


def test_an_iterated_edit_collects_what_its_cell_asks_for(session: Session, cells: Callable[..., list[Cell]]) -> None:
    ensure_training(session)
    iterated = {"method": "iterated", "rounds": 3, "blocks": "all", "fraction": 0.3}
    asked: list[Statistics] = []
    batches = session.experiment.batches

    def noted(request: Statistics) -> Any:
        asked.append(request)
        return batches(request)

    session.experiment.batches = noted  # type: ignore[method-assign]
    (cell,) = cells({"held_out": True}, iterated)
    before = {k: v.clone() for k, v in session.experiment.net.state_dict().items()}
    result = ensure_evaluation(session, cell)
    assert result["passes"] == 2 and len(asked) >= 3 and all(request.held_out for request in asked)
    assert all(torch.equal(v, before[k]) for k, v in session.experiment.net.state_dict().items())

"""Statistics of another data set and of some classes, and edits that keep what a second set of images needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from vitmem.bench.cells import Cell
from vitmem.bench.experiment import Places
from vitmem.bench.job import run_job
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.preflight import check_cells
from vitmem.bench.stages import Session, ensure_training, open_session
from vitmem.bench.statistics import ensure_statistics
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.data.augment import normalise
from vitmem.datasets.mnist5k import mnist5k
from vitmem.edits.base import EditContext
from vitmem.edits.protect import Protect
from vitmem.errors import InputError
from vitmem.kfac import find_layers, fit
from vitmem.protocols.image import ImageExperiment
from vitmem.specs import Statistics

Config = dict[str, Any]
CHANGES: Config = {
    "seeds": [0],
    "data": {"name": "digits", "train": 150, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "residual_mlp", "width": 8, "hidden": 16, "depth": 1},
    "recipe": {"epochs": 1, "batch_size": 50, "precision": "32"},
}
EDIT: Config = {"method": "kfac_input", "blocks": "all", "fraction": 0.3}
PROTECT: Config = {"method": "protect", "blocks": "all", "fraction": 0.3, "second": {"classes": [3]}}
MNIST = {"name": "mnist5k", "train": 40}


@pytest.fixture
def plan(write: Callable[..., Path], tmp_path: Path) -> Callable[..., Plan]:
    """Return the plan of a suite with other statistics and edits."""

    def planned(statistics: Any = None, edits: Any = EDIT, **changes: Any) -> Plan:
        edits = edits if isinstance(edits, list) else [edits]
        path = write(**{**CHANGES, **changes}, statistics=statistics or {}, edits=edits)
        return make_plan(load_suite(path), path, tmp_path)

    return planned


@pytest.fixture
def cells(plan: Callable[..., Plan]) -> Callable[..., list[Cell]]:
    return lambda *args, **changes: list(plan(*args, **changes).cells)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(Store(tmp_path / "store"), tmp_path, tmp_path / "cache", "cpu")


@pytest.fixture
def session(cells: Callable[..., list[Cell]], places: Places) -> Session:
    return open_session(cells()[0].training, places)


def read(session: Session, **request: Any) -> tuple[Tensor, Tensor]:
    batches, count = session.experiment.batches(Statistics(**request))
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert len(images) == len(labels) == count
    return images, labels


def test_what_is_read_stands_in_the_id_once(cells: Callable[..., list[Cell]]) -> None:
    ways = [{}, {"source": MNIST}, {"source": {"name": "mnist5k"}}, {"classes": [3, 1]}, {"without": [3, 1]}]
    assert len({cell.statistics_id for cell in cells(ways)}) == 5
    assert cells({"classes": [3, 1]})[0].id == cells({"classes": [1, 3, 3]})[0].id
    one, other = cells({}, [PROTECT, {**PROTECT, "second": {"without": [3]}}])
    assert one.id != other.id and one.statistics_id == other.statistics_id
    second = one.second
    assert second is not None and second.statistics_id == cells({"classes": [3]})[0].statistics_id


def test_lists_inside_a_source_and_a_second_set_are_sweeps(cells: Callable[..., list[Cell]]) -> None:
    assert len(cells({"source": [{"name": "mnist5k", "train": [40, 50]}, {"name": "digits"}]})) == 3
    assert len(cells({}, {**PROTECT, "second": [{"classes": [[3], [5, 6]]}, {"held_out": True}]})) == 3
    inner = {key: value for key, value in PROTECT.items() if key != "blocks"}
    dial = {"method": "dial", "blocks": "all", "after": inner, "turn": 0.5}
    (cell,) = cells({}, dial)
    assert cell.second is not None


def test_another_source_is_read_in_order_and_without_labels(session: Session, tmp_path: Path) -> None:
    images, labels = read(session, source={"name": "mnist5k"}, images=30)
    assert isinstance(session.experiment, ImageExperiment)
    data = session.experiment.noisy.data
    first = mnist5k(None, tmp_path / "cache").train.images[:30]
    small = torch.nn.functional.interpolate(first.float(), (8, 8), mode="bilinear", antialias=True).round()
    assert torch.equal(images, normalise(small.to(torch.uint8), data.mean, data.std)) and not labels.any()


def test_classes_are_those_of_the_given_labels(session: Session) -> None:
    assert isinstance(session.experiment, ImageExperiment)
    given = session.experiment.noisy.given
    assert set(read(session, classes=[3, 5])[1].tolist()) == {3, 5}
    assert len(read(session, classes=[3])[1]) + len(read(session, without=[3])[1]) == len(given)
    assert 3 not in read(session, without=[3])[1].tolist()


@pytest.mark.parametrize(
    ("statistics", "says"),
    [
        (
            {"source": {"name": "mnist5k"}, "images": 4001},
            "'images': expected a number from 1 to 4000, all of 'source'",
        ),
        ({"classes": [10]}, "'classes': expected classes 0 to 9, got 10"),
        ({"without": list(range(10))}, "'without': no training image is left"),
    ],
)
def test_what_is_not_there_is_told_before_training(
    session: Session, cells: Callable[..., list[Cell]], statistics: Config, says: str
) -> None:
    for some in (cells(statistics), cells({}, {**PROTECT, "second": statistics})):
        with pytest.raises(InputError, match=says):
            check_cells(session, some)


@pytest.mark.parametrize(
    ("statistics", "says"),
    [
        ({"source": MNIST, "held_out": True}, "'held_out' and 'source' both choose the images"),
        (
            {"source": MNIST, "labels": "given"},
            "labels 'given' would read the true labels of 'source' images, which are hidden",
        ),
        ({"source": {"name": "mnist"}}, "unknown data 'mnist'"),
        ({"source": "mnist5k"}, "missing key 'name', got 'mnist5k'"),
        ({"source": {"name": "spectrum"}}, "data 'spectrum' has no images"),
        ({"source": []}, "'source': expected a mapping or a list of them, got an empty list"),
        ({"classes": []}, "'classes'"),
    ],
)
def test_a_suite_that_asks_for_what_cannot_be_is_refused(
    cells: Callable[..., list[Cell]], statistics: Config, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        cells(statistics)
    with pytest.raises(InputError, match=says):
        cells({}, {**PROTECT, "second": statistics})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"second": None}, "give 'second', the set to keep as well"),
        ({"rule": "span", "share": 0.3}, "leave it out of rule 'span'"),
        ({"rule": "random", "side": "both"}, "rule 'random' uses the input side only"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(cells: Callable[..., list[Cell]], changes: Config, says: str) -> None:
    with pytest.raises(InputError, match=says):
        cells({}, {**PROTECT, **changes})


def test_a_row_is_the_edit_by_both_sets_and_names_them(plan: Callable[..., Plan], places: Places) -> None:
    made = plan({"without": [3]}, [PROTECT, {**PROTECT, "rule": "mixture", "second": {"source": MNIST}}])
    (job,) = made.jobs()
    rows = {row["config"]["edit"]["rule"]: row for row in run_job(job, "small", places)}
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert (
        rows["span"]["edit"]["information"] == "noisy labels" and "sources" not in rows["span"]
    )  # given labels chose images
    assert rows["mixture"]["sources"]["second"]["name"] == "mnist5k"
    assert rows["span"]["ids"]["second"] != rows["span"]["ids"]["statistics"]
    assert rows["span"]["costs"]["second_passes"] == 1
    session = open_session(made.cells[0].training, places)
    ensure_training(session)
    net, experiment = session.experiment.net, session.experiment
    layers = find_layers(net, experiment.patterns("all", None))
    sets = [
        fit(net, layers, experiment.task(Statistics())[0], list(experiment.batches(r)[0]), seed=0)
        for r in (Statistics(without=[3]), Statistics(classes=[3]))
    ]
    by_hand = Protect(fraction=0.3, second={}).edit(EditContext(net, layers, sets[0], seed=0, second=sets[1]))
    for path, report in by_hand.reports.items():
        found = rows["span"]["edit"]["layers"][path]
        assert found["change_norm"] == pytest.approx(report.change_norm, rel=1e-4)
        assert found["kept_mass"] == pytest.approx(report.kept_mass, rel=1e-4)


def test_a_source_that_has_changed_is_noticed(
    session: Session, cells: Callable[..., list[Cell]], places: Places, tmp_path: Path
) -> None:
    for n, name in enumerate(("train/a/1", "train/b/2", "val/a/3", "val/b/4")):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * n + 10, 3, 90 - n)).save(tmp_path / "pets" / f"{name}.png")
    (cell,) = cells({"source": {"name": "image_folder", "folder": "pets", "size": 8}})
    ensure_training(session)
    ensure_statistics(session, cell)
    Image.new("RGB", (8, 8), (200, 200, 0)).save(tmp_path / "pets" / "train/a/1.png")
    again = open_session(cell.training, places)
    ensure_training(again)
    with pytest.raises(
        InputError, match="the images of 'source' image_folder changed since these statistics; restore the old"
    ):
        ensure_statistics(again, cell)

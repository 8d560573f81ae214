"""Views in a suite: measured on predictions that are there already, in rows of their own, refused before training."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.stages import open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.data.view_files import file_sha256
from vitmem.errors import InputError
from vitmem.protocols.image import ImageExperiment
from vitmem.reports.files import render_tables
from vitmem.reports.report import Report
from vitmem.rows import read_rows

TEST = np.arange(60) % 10  # labels in the published order
ROWS = np.random.default_rng(1).permutation(60)  # of the parquet file in that order
TWINS = [3, 17, 40]
CONTENT = {
    "name": "tiny",
    "seeds": [0],
    "data": {"name": "cifar10"},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 16, "width": 16, "depth": 1, "heads": 2},
    "recipe": {"epochs": 1, "batch_size": 20, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "svd", "blocks": "all", "rank_fraction": 0.2}],
}
VIEWS = ["without_duplicates", "agreement_humans"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CIFAR of 40 and 60 images be a whole one."""
    monkeypatch.setattr("vitmem.data.cifar.COUNTS", (40, 60))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("views")
    for split, labels in (("train", np.arange(40) % 10), ("test", TEST[ROWS])):
        images = []
        for pixels in np.random.default_rng(len(labels)).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            images.append({"bytes": buffer.getvalue(), "path": None})
        (root / "data" / "cifar10").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"img": images, "label": labels}), root / "data" / "cifar10" / f"{split}.parquet")
    return root


def plan(folder: Path, **changes: Any) -> Plan:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**CONTENT, **changes}))
    return make_plan(load_suite(path), path)


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), folder / "data", folder / "cache", "cpu")


def run(folder: Path, made: Plan) -> Outcome:
    return run_suite(made, places(folder), folder / "results")


def test_a_view_is_measured_on_what_was_predicted(folder: Path) -> None:
    plain, asked = plan(folder), plan(folder, views=VIEWS)
    assert (
        [c.evaluation_id for c in asked.cells] == [c.id for c in plain.cells] == [c.evaluation_id for c in plain.cells]
    )
    assert not {c.id for c in asked.cells} & {c.id for c in plain.cells}
    assert [c.id for c in plan(folder, views=VIEWS[::-1]).cells] == [c.id for c in asked.cells]
    assert run(folder, plain) == Outcome(cells=2, found=0, made=2, failed=0)
    before = read_rows(rows_path(folder / "results", "tiny"))
    assert "without duplicates" not in render_tables(Report("tiny", before))["sweep.md"]

    with pytest.raises(InputError, match=r"view 'agreement_humans' of cifar10: no cifar10h.npz or"):
        run(folder, asked)
    data = folder / "data" / "cifar10"
    counts = np.full((60, 10), 1) + 40 * np.eye(10, dtype=np.int64)[TEST]
    np.savez(data / "cifar10h.npz", counts_original_order=counts, row_to_original_index=ROWS)
    (data / "duplicates_test_train.csv").write_text("TestID,TrainID\n" + "".join(f"{i},0\n" for i in TWINS))
    kept = {p: p.stat().st_mtime_ns for p in (folder / "store").rglob("*.safetensors")}
    assert run(folder, asked) == Outcome(cells=2, found=0, made=2, failed=0)
    assert {p: p.stat().st_mtime_ns for p in (folder / "store").rglob("*.safetensors")} == kept

    rows = read_rows(rows_path(folder / "results", "tiny"))  # those without views have made way
    assert {row["id"] for row in rows} == {cell.id for cell in asked.cells}
    experiment = open_session(asked.cells[0].training, places(folder)).experiment
    assert isinstance(experiment, ImageExperiment)
    halves = experiment.halves
    old = {row["config"]["edit"]["method"]: row for row in before}
    for row, cell in zip(sorted(rows, key=lambda r: r["id"]), sorted(asked.cells, key=lambda c: c.id), strict=True):
        stored = load_file(folder / "store" / "evaluation" / cell.evaluation_id / "predictions.safetensors")
        said, original = stored["validation_logits"].argmax(1).numpy(), ROWS[stored["validation_index"].numpy()]
        hits, left = said == TEST[original], ~np.isin(original, TWINS)
        for half, key in (("validation_report", "metrics"), ("validation_selection", "selection")):
            rows_in = vars(halves)[half].numpy()
            assert row[key]["validation_without_duplicates"] == pytest.approx(hits[rows_in][left[rows_in]].mean())
            share = np.where(hits[rows_in], 41 / 50, 1 / 50).mean()
            assert row[key]["validation_agreement_humans"] == pytest.approx(share)
        same = old[row["config"]["edit"]["method"]]
        assert row["config"] == same["config"] and same["metrics"].items() <= row["metrics"].items()
        assert row["views"]["without_duplicates"] == file_sha256(data / "duplicates_test_train.csv")
    assert (
        "validation without duplicates | validation agreement humans" in render_tables(Report("tiny", rows))["sweep.md"]
    )


def test_a_view_that_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data" / "cifar10"
    shutil.copytree(folder / "data" / "cifar10", data)
    counts = np.eye(10, dtype=np.int64)[TEST]
    np.savez(data / "cifar10h.npz", counts_original_order=counts, row_to_original_index=ROWS)
    (data / "duplicates_test_train.csv").write_text("TestID,TrainID\n" + "".join(f"{i},0\n" for i in range(60)))
    with pytest.raises(
        InputError, match="'without_duplicates' leaves none of the 30 validation images of the selection"
    ):
        run(tmp_path, plan(tmp_path, views=VIEWS))
    assert not list(tmp_path.glob("store/training/*"))


def test_a_view_that_the_data_have_not(folder: Path) -> None:
    with pytest.raises(InputError, match="'views': data 'digits' has no 'without_duplicates'; leave 'views' out"):
        plan(folder, data={"name": "digits"}, views=VIEWS)
    with pytest.raises(InputError, match="data 'cifar100' has no 'agreement_humans'; it has without_duplicates"):
        plan(folder, data={"name": "cifar100"}, views=["agreement_humans"])
    with pytest.raises(InputError, match=r"'views.0': input should be 'without_duplicates'"):
        plan(folder, views=["duplicates"])

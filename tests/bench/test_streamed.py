"""A suite over a folder of images: the rows of streamed images are those of images in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load_file

import vitmem.bench.given_labels as given_labels
from vitmem.bench.experiment import Places
from vitmem.bench.given_labels import as_trained
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.data.streamed import StreamedImages
from vitmem.errors import InputError
from vitmem.rows import Row, read_rows
from vitmem.specs import PREDICTIONS

REAL = Path(__file__).parents[3] / "shared" / "data" / "imagenette64"
SUITE: dict[str, Any] = {
    "name": "pictures",
    "seeds": [0],
    "data": {"name": "image_folder", "folder": "pictures", "size": 32, "validation": 50},
    "noise": {"name": "instance_dependent", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 8, "width": 16, "depth": 2, "heads": 2},
    "recipe": {
        "epochs": 2,
        "batch_size": 40,
        "lr": 3e-3,
        "warmup_epochs": 1,
        "crop": 2,
        "flip": True,
        "precision": "32",
    },
    "statistics": [{"labels": "sampled", "crop": 1, "flip": True}, {"labels": "exact", "held_out": True}],
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": "last", "fraction": 0.1},
        {"method": "svd", "blocks": "last", "rank_fraction": 0.2},
        {"method": "magnitude", "blocks": "all", "fraction": 0.5},
    ],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 120 and 80 images of Imagenette, 64 pixels, as files."""
    if not (REAL / "train.parquet").exists():
        pytest.skip(f"no Imagenette in {REAL}")
    home = tmp_path_factory.mktemp("home")
    for split, count in (("train", 120), ("val", 80)):
        table = pq.read_table(REAL / f"{split}.parquet")
        labels = table.column("label").to_numpy()
        rows = table.take(np.concatenate([np.flatnonzero(labels == c)[: count // 10] for c in range(10)])).to_pylist()
        for number, row in enumerate(rows):
            inside = home / "pictures" / split / f"class {row['label']}"
            inside.mkdir(parents=True, exist_ok=True)
            (inside / f"{number}.img.png").write_bytes(row["image"]["bytes"])
    return home


def planned(home: Path, **changes: Any) -> Any:
    (path := home / "suite.yaml").write_text(yaml.safe_dump({**SUITE, **changes}))
    return make_plan(load_suite(path), path, home)


def run(home: Path, loading: str) -> tuple[list[Row], Path]:
    plan = planned(home, data={**SUITE["data"], "loading": loading})
    store = Store(home / loading / "store")
    run_suite(plan, Places(store, home, home / loading / "cache", "cpu"), home / loading / "results")
    return read_rows(rows_path(home / loading / "results", "pictures")), store.folder(
        "evaluation", plan.cells[1].evaluation_id
    )


def test_rows_of_streamed_images_are_those_of_images_in_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    load = given_labels.load_data

    def noted(*args: Any, **options: Any) -> Any:
        kinds.append(type(data := load(*args, **options)) and type(data.train.images))
        return data

    monkeypatch.setattr(given_labels, "load_data", noted)
    held, stored = run(home, "memory")
    assert StreamedImages not in kinds
    kinds.clear()
    read, other = run(home, "stream")
    assert set(kinds) == {StreamedImages}
    assert len(held) == 5 and {row["status"] for row in read} == {"ok"}
    apart = ("costs", "environment")
    one, two = ([{k: v for k, v in row.items() if k not in apart} for row in rows] for rows in (held, read))
    assert json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert "loading" not in json.dumps(one)
    a, b = (load_file(folder / PREDICTIONS) for folder in (stored, other))
    assert a.keys() == b.keys() and all(a[key].equal(b[key]) for key in a)


def test_random_parts_are_cut_from_files_unless_a_suite_says_memory(home: Path) -> None:
    recipe = {**SUITE["recipe"], "crop": 0, "random_resized_crop": [0.2, 1.0]}
    (training,) = {cell.training for cell in planned(home, recipe=recipe).cells}
    assert training.data.entry.loading is None and as_trained(training).entry.loading == "stream"
    assert as_trained(training).config == training.data.config
    (plain,) = {cell.training for cell in planned(home).cells}
    assert as_trained(plain) is plain.data
    with pytest.raises(InputError, match="'random_resized_crop' cuts from images at their own size") as caught:
        planned(home, recipe=recipe, data={**SUITE["data"], "loading": "memory"})
    assert "\n" not in str(caught.value)
    (digits,) = {c.training for c in planned(home, recipe=recipe, data={"name": "digits"}).cells}
    assert as_trained(digits) is digits.data


def test_ids_are_those_of_a_recipe_without_augmentations(home: Path) -> None:
    ids = [{cell.id for cell in planned(home, **changes).cells} for changes in ({}, {"recipe": dict(SUITE["recipe"])})]
    other = {cell.id for cell in planned(home, recipe={**SUITE["recipe"], "mixup": 0.2}).cells}
    assert ids[0] == ids[1] and not ids[0] & other


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("random_resized_crop", [0.08, 1.0]),
        ("rand_augment", {"ops": 2, "magnitude": 9}),
        ("random_erasing", 0.25),
        ("mixup", 0.2),
        ("cutmix", 1.0),
    ],
)
def test_text_has_no_augmentations_of_images(name: str, value: Any, tmp_path: Path) -> None:
    suite = yaml.safe_load((Path(__file__).parent / "tiny_text.yaml").read_text())
    suite["recipe"] = {**suite["recipe"], name: value}
    (path := tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    with pytest.raises(InputError, match=f"recipe: '{name}' is for images, data '.*' has none; leave it out") as caught:
        make_plan(load_suite(path), path, None)
    assert "\n" not in str(caught.value)

"""Data sets in the formats of the Hub: the same pixels, labels and classes by every way, and what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from vitmem.data.load import load_data
from vitmem.data.noisy import add_noise
from vitmem.data.sets import ImageData
from vitmem.errors import InputError
from vitmem.registry import DATA, NOISES

datasets = pytest.importorskip("datasets")
COMMIT = "0123456789abcdef0123456789abcdef01234567"  # of hub_server.py
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, features: dict[str, Any] | None = None, pixels: np.ndarray = PIXELS, **columns: Any) -> Path:
    """Write a parquet file of ``pixels`` as the column ``picture`` and of ``columns``, as the Hub has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"picture": [{"bytes": png(p), "path": None} for p in pixels], **columns})
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def named(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ImageData]:
    """Return a function that loads ``set`` of the data folder ``tmp_path/data``, or another ``path``."""

    def loaded(data_dir: Path | None = None, path: str = "set", **options: Any) -> ImageData:
        entry = DATA.get("hub").parse({"path": path, **options}, "data")
        return load_data(entry, data_dir or tmp_path / "data", tmp_path / "cache")

    return loaded


@pytest.fixture
def cifar(tmp_path: Path, real: Path) -> Path:
    """The first 90 and 30 images of CIFAR-10, in two shards and one."""
    folder = tmp_path / "data" / "cifar" / "data"
    folder.mkdir(parents=True)
    for split, rows, name in (
        ("train", (0, 50), "train-00000-of-00002"),
        ("train", (50, 40), "train-00001-of-00002"),
        ("test", (0, 30), "test-00000-of-00001"),
    ):
        pq.write_table(pq.read_table(real / "cifar10" / f"{split}.parquet").slice(*rows), folder / f"{name}.parquet")
    return folder.parent


def check_cifar(data: ImageData, real: Path) -> None:
    """Compare with the files as PIL and pyarrow read them."""
    for part, split, count in ((data.train, "train", 90), (data.validation, "test", 30)):
        rows = pq.read_table(real / "cifar10" / f"{split}.parquet").slice(0, count).to_pylist()
        pixels = [np.asarray(Image.open(io.BytesIO(row["img"]["bytes"])).convert("RGB")) for row in rows]
        assert np.array_equal(part.images.permute(0, 2, 3, 1).numpy(), np.stack(pixels))
        assert part.labels.tolist() == [row["label"] for row in rows] and part.index.tolist() == list(range(count))
    assert data.classes[:3] == ("airplane", "automobile", "bird") and data.num_classes == 10


def test_a_folder_of_parquet_files(
    cifar: Path, real: Path, load: Callable[..., ImageData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # is not needed
    check_cifar(load(path="cifar", size=32), real)
    check_cifar(load(path="cifar", validation_split="test", image="img", label="label"), real)
    cached = sorted((cifar.parents[1] / "cache").iterdir())
    data = load(path="cifar", size=32)
    check_cifar(data, real)
    assert sorted((cifar.parents[1] / "cache").iterdir()) == cached and data.remarks == ()


def test_parquet_files_in_two_places_are_refused(cifar: Path, load: Callable[..., ImageData]) -> None:
    shutil.copy(cifar / "data" / "test-00000-of-00001.parquet", cifar / "train.parquet")
    with pytest.raises(InputError, match=f"expected parquet files in {cifar} or in {cifar / 'data'}, got some in both"):
        load(path="cifar")
    (cifar / "train.parquet").rename(cifar / ".train.parquet")
    assert len(load(path="cifar").train) == 90


def test_a_saved_data_set(cifar: Path, real: Path, load: Callable[..., ImageData]) -> None:
    train, test = (
        datasets.Dataset(pa.concat_tables(map(pq.read_table, sorted((cifar / "data").glob(f"{split}-*")))))
        for split in ("train", "test")
    )
    datasets.DatasetDict(train=train, test=test).save_to_disk(cifar.parent / "both")
    train.save_to_disk(cifar.parent / "one")
    both = load(path="both")
    check_cifar(both, real)
    assert both.fingerprint == load(path="cifar").fingerprint
    one = load(path="one", held_out=0.4)
    assert torch.equal(one.train.images, both.train.images[one.train.index])
    assert one.fingerprint == load(path="cifar", held_out=0.4).fingerprint, "the rule asks for the image alone"
    (remark,) = one.remarks
    assert remark.startswith(f"data 'hub': {len(one.validation)} of 90 images are held out") and remark.endswith(
        "image"
    )
    file = cifar.parent / "one" / "state.json"
    file.write_text(file.read_text()[:20])
    with pytest.raises(InputError, match="one: not a readable data set of save_to_disk"):
        load(path="one")


SCRIPT = """
import json, sys
from pathlib import Path
from vitmem.data.load import load_data
from vitmem.errors import InputError
from vitmem.registry import DATA
for line in sys.stdin:
    try:
        data = load_data(DATA.get("hub").parse(json.loads(line), "data"), None, Path(sys.argv[1]))
        print(json.dumps([data.fingerprint, len(data.train), len(data.validation), data.classes, data.remarks]))
    except InputError as error:
        print(json.dumps(str(error)))
"""


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve the repositories in ``root``; yields the address."""
    command = [sys.executable, str(Path(__file__).with_name("hub_server.py")), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@pytest.mark.slow
def test_the_hub(cifar: Path, tmp_path: Path, load: Callable[..., ImageData]) -> None:
    """By the library and its cache, from a server that speaks as the Hub does; then without a network."""
    repositories = tmp_path / "root" / "owner"
    repositories.mkdir(parents=True)
    cifar.rename(repositories / "cifar")
    (repositories / "script").mkdir()
    (repositories / "script" / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for number, pixels in enumerate(PIXELS):
        folder = repositories / "pictures" / "train" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(pixels))

    def ask(address: str, *asked: dict[str, Any], **variables: str) -> list[Any]:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), **variables}
        text = "\n".join(map(json.dumps, asked))
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "decoded")]
        done = subprocess.run(
            command, input=text, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    cifar10, pictures = {"path": "owner/cifar", "revision": COMMIT}, {"path": "owner/pictures", "held_out": 0.5}
    with served(tmp_path / "root") as address:
        found = ask(address, cifar10, pictures, {"path": "owner/script"}, {"path": "owner/nothing"})
    first, second, script, nothing = found
    assert first[0] == load(tmp_path / "root", "owner/cifar").fingerprint and first[1:3] == [90, 30]
    assert sum(second[1:3]) == 12 and second[3] == ["a", "b"] and "held out" in second[4][0]
    assert "it needs a script, which is never run" in script and not (tmp_path / "ran").exists()
    assert "cannot load 'owner/nothing' from the Hub" in nothing and "see 'path', 'config' and 'revision'" in nothing
    other = {"path": "owner/cifar", "revision": "f" * 40}
    again = ask(address, cifar10, pictures, other, {"path": "owner/nothing"}, HF_HUB_OFFLINE="1")
    assert again[:2] == found[:2]
    assert f"expected revision {'f' * 40} of 'owner/cifar', got {COMMIT} from the cache" in again[2]
    assert "without a network, copy its parquet files into a folder of --data-dir" in again[3]


@pytest.mark.parametrize("kind", [str, int, "category"])
def test_labels_without_class_names_are_distinct_values(tmp_path: Path, load: Callable[..., Any], kind: Any) -> None:
    values = np.array([10, 2, 33] * 4)
    given = np.where(np.arange(12) < 3, 10, values)

    def column(numbers: np.ndarray) -> pa.Array:
        if kind is int:
            return pa.array(numbers)
        texts = pa.array([f"n{n:02d}" for n in numbers])
        return texts.dictionary_encode() if kind == "category" else texts

    folder = tmp_path / "data" / "set"
    write(folder / "train.parquet", label=column(values), given=column(given), note=["x"] * 12, weight=[0.5] * 12)
    write(folder / "val.parquet", label=column(values[:2]), pixels=PIXELS[:2])
    data = load()
    assert data.classes == (("2", "10", "33") if kind is int else ("n02", "n10", "n33"))
    place = {10: 1, 2: 0, 33: 2}
    assert data.train.labels.tolist() == [place[v] for v in values.tolist()]
    assert data.validation.labels.tolist() == [1, 0], "of the training split's classes, though one is missing"
    assert {name: found.tolist() for name, found in data.train.extra_labels.items()} == {
        "given": [place[v] for v in given.tolist()]
    }
    noisy = add_noise(data, NOISES.get("column").parse({"column": "given"}, "noise"), 0)
    assert noisy.labels.changed.tolist() == (values != given).tolist()


def test_given_labels_are_matched_by_name(tmp_path: Path, load: Callable[..., Any]) -> None:
    labels = np.arange(12) % 3
    features = {
        "picture": {"_type": "Image"}, "label": named("a", "b", "c"), "turned": named("c", "b", "a"),
        "more": named("a", "b", "c", "d"), "people": named("x", "y", "z"),
    }  # fmt: skip
    columns = {"turned": 2 - labels, "more": labels + 1, "people": labels, "texts": ["c", "", None] * 4}
    write(
        tmp_path / "data" / "set" / "train.parquet",
        features,
        label=labels,
        **columns,
        plain=pa.array([2, None, 9] * 4, pa.uint8()),
    )
    found = load(held_out=0.5).train
    assert {name: values.tolist()[0] for name, values in found.take(torch.tensor([0])).extra_labels.items()}.keys() == {
        "turned", "more", "texts", "plain"
    }  # fmt: skip
    rows = found.index.numpy()
    expected = {"turned": labels, "more": [1, 2, -1] * 4, "texts": [2, -1, -1] * 4, "plain": [2, -1, -1] * 4}
    for name, values in expected.items():
        assert np.array_equal(found.extra_labels[name], np.array(values)[rows]), name


def test_given_labels_of_imagenette_are_those_of_a_folder(tmp_path: Path, real: Path, load: Callable[..., Any]) -> None:
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    for split in ("train", "val"):
        pq.write_table(
            pq.read_table(real / "imagenette64" / f"{split}.parquet").slice(0, 300), folder / f"{split}.parquet"
        )
    pictures = DATA.get("image_folder").parse({"folder": "set", "size": 64}, "data")
    column = NOISES.get("column").parse({"column": "noisy_5"}, "noise")
    one, other = (
        add_noise(data, column, 0) for data in (load(), load_data(pictures, folder.parent, tmp_path / "cache"))
    )
    assert torch.equal(one.data.train.images, other.data.train.images) and one.data.classes == other.data.classes
    assert torch.equal(one.data.validation.images, other.data.validation.images)
    assert one.labels.sha256 == other.labels.sha256 and 0 < one.labels.changed.sum() < 60


LABELS = np.arange(12) % 3
XYZ = named("x", "y", "z")
WIDE = np.concatenate([PIXELS, PIXELS[:, :, :2]], axis=2)
OUTSIDE = [{"bytes": None, "path": "/etc/hostname"}] * 12
NOT_ONE = "expected one column of classes or the column 'label', got "


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ({}, {"image": "pictur"}, "train.parquet: 'pictur'; did you mean 'picture'?"),
        ({}, {"image": "label"}, "expected images in column 'label', got int64"),
        ({}, {"label": "lable"}, "train.parquet: 'lable'; did you mean 'label'?"),
        ({}, {"split": "trian"}, "no split 'trian'; did you mean 'train'?"),
        ({}, {"validation_split": "test"}, "no split 'test'; known: train"),
        ({}, {"config": "plain"}, "expected parquet files of splits in "),
        ({}, {"revision": "0" * 40}, "'revision' is for a name on the Hub"),
        ({}, {"validation_split": "train", "held_out": 0.1}, "expected 'validation_split' or 'held_out', got both"),
        ({}, {"path": "nowhere"}, "or a name on the Hub such as uoft-cs/cifar10, got 'nowhere'"),
        ({"label": None, "kind": LABELS}, {}, f"{NOT_ONE}picture, kind"),
        ({"features": {"a": XYZ, "b": XYZ}, "label": None, "a": LABELS, "b": LABELS}, {}, f"{NOT_ONE}a, b; name one"),
        ({"label": LABELS.astype(float)}, {}, "expected whole numbers or texts as labels in column 'label', got doub"),
        ({"label": ["a", "b", ""] * 4}, {}, "expected a label in every row, got 4 empty ones in 'label'"),
        ({"label": LABELS - 1}, {}, "'label': expected numbers from 0 as labels, got -1; are these unlabelled?"),
        (
            {"features": {"label": named("a", "b")}},
            {},
            "expected labels 0 to 1 in column 'label', got 0 to 2; has this",
        ),
        ({"features": {"label": XYZ}, "label": ["x"] * 12}, {}, "expected whole numbers in column 'label', got string"),
        ({"other": [b"x"] * 12}, {}, "expected one column of images, got picture, other; name one as 'image'"),
        (
            {"other": [b""] * 12},
            {"image": "other"},
            "row 0: expected the bytes of an image in column 'other', got none",
        ),
        ({"other": OUTSIDE}, {"image": "other"}, "row 0: expected the bytes of an image in column 'other', got none"),
        ({"other": [b"no image"] * 12}, {"image": "other"}, "row 0 of column 'other': not a readable image"),
        ({"pixels": WIDE}, {}, "expected square images, got 6x4 pixels; give 'size' in pixels"),
    ],
)
def test_what_does_not_fit(
    tmp_path: Path, load: Callable[..., Any], columns: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    columns = {"label": LABELS, **columns}
    write(tmp_path / "data" / "set" / "train.parquet", **{k: v for k, v in columns.items() if v is not None})
    with pytest.raises(InputError) as caught:
        load(**{**({} if "validation_split" in options else {"held_out": 0.5}), **options})
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("features", "labels", "says"),
    [
        (
            {"label": named("a", "c", "b")},
            LABELS,
            "expected the class names of the training split, got others in column",
        ),
        (None, ["a", "b", "d"] * 4, "expected the 3 classes of training in column 'label', got 'd'"),
    ],
)
def test_splits_of_other_classes(
    tmp_path: Path, load: Callable[..., Any], features: Any, labels: Any, says: str
) -> None:
    of_training = {"label": named("a", "b", "c")} if features else None
    write(tmp_path / "data" / "set" / "train.parquet", of_training, label=LABELS if features else ["a", "b", "c"] * 4)
    write(tmp_path / "data" / "set" / "test.parquet", features, label=labels)
    with pytest.raises(InputError, match=says):
        load()


def test_what_the_library_loads(tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of image files, of which the library has paths; the Hub's own part is a folder here."""
    for number, pixels in enumerate(PIXELS):
        file = tmp_path / "files" / "ab"[number % 2] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(pixels))
    asked: list[Any] = []
    found = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "files"), cache_dir=str(tmp_path / "hf"))

    def local(path: str, name: str | None, revision: str | None, keep_in_memory: bool) -> Any:
        asked.append((path, name, revision, keep_in_memory))
        if (tmp_path / "error").exists():
            raise RuntimeError("Dataset scripts are no longer supported, but found name.py")
        return found

    monkeypatch.setattr(datasets, "load_dataset", local)
    data = load(path="owner/name", config="plain", held_out=0.5)
    assert asked == [("owner/name", "plain", None, False)] and data.classes == ("a", "b")
    for part in (data.train, data.validation):
        for pixels, label, row in zip(part.images, part.labels.tolist(), part.index.tolist(), strict=True):
            number = 2 * (row % 6) + label
            assert label == row // 6 and np.array_equal(pixels.permute(1, 2, 0).numpy(), PIXELS[number])
    with pytest.raises(InputError, match=f"expected revision {COMMIT} of 'owner/name', got "):
        load(path="owner/name", revision=COMMIT)
    (tmp_path / "files" / "a" / "00.png").write_bytes(png(PIXELS[1]))
    assert not torch.equal(load(path="owner/name", held_out=0.5).train.images, data.train.images), "by content"
    (tmp_path / "files" / "a" / "00.png").unlink()
    with pytest.raises(InputError, match=r"00\.png: no such file"):
        load(path="owner/name", held_out=0.5)
    (tmp_path / "error").touch()
    with pytest.raises(InputError, match="it needs a script, which is never run; take a data set of parquet files"):
        load(path="owner/name")


def test_without_the_library(load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"datasets is needed here .* pip install 'vitmem\[hub\]'"):
        load(path="owner/name")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    with pytest.raises(InputError, match="'owner/name' is a name on the Hub and a folder here; give its parent with"):
        load(path="owner/name")
    with pytest.raises(InputError, match=r"'revision': string should match pattern .*, got 'main'"):
        load(path="owner/name", revision="main")


@pytest.mark.slow
def test_all_of_cifar10_is_that_of_cifar10(tmp_path: Path, real: Path, load: Callable[..., Any]) -> None:
    one = load(real, "cifar10", split="train", validation_split="test", image="img", label="label", size=32)
    other = load_data(DATA.get("cifar10").parse({}, "data"), real, tmp_path / "cache")
    assert one.classes == other.classes and torch.equal(one.mean, other.mean) and torch.equal(one.std, other.std)
    for a, b in ((one.train, other.train), (one.validation, other.validation)):
        assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and torch.equal(a.index, b.index)

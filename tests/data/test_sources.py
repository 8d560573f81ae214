"""Sources: the embedded digits, tiny parquet files written here, a stand-in for torchvision."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
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

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load(name: str, cache: Path, folder: Path | None = None, **options: Any) -> ImageData:
    counts = {key: options.pop(key, None) for key in ("train", "validation")}
    seed = options.pop("seed", 0)
    return load_data(DATA.get(name).parse(options, "data"), folder, cache, **counts, seed=seed)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, pixels: np.ndarray, labels: np.ndarray, **columns: np.ndarray) -> None:
    """Write (N, H, W, 3) images as the Hub keeps them."""
    images = [{"bytes": png(p), "path": None} for p in pixels]
    table = pa.table({"img": images, "label": labels, **columns})
    features = {"img": {"_type": "Image"}, "label": {"names": CIFAR10_CLASSES, "_type": "ClassLabel"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray, np.ndarray]:
    """A CIFAR-10 of 30 training images in two shards and 20 test images."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(50) % 10
    folder = tmp_path / "data" / "cifar10"
    monkeypatch.setattr("vitmem.data.cifar.COUNTS", (30, 20))
    write_parquet(folder / "train-00000-of-00002.parquet", pixels[:20], labels[:20])
    write_parquet(folder / "train-00001-of-00002.parquet", pixels[20:30], labels[20:30])
    write_parquet(folder / "test-00000-of-00001.parquet", pixels[30:], labels[30:])
    return tmp_path / "data", pixels, labels


@pytest.mark.parametrize(
    ("name", "train", "validation", "size"), [("digits", 1297, 500, 8), ("mnist5k", 4000, 1000, 28)]
)
def test_embedded_digits(name: str, train: int, validation: int, size: int, tmp_path: Path) -> None:
    data = load(name, tmp_path)
    assert data.train.images.shape == (train, 1, size, size) and len(data.validation) == validation
    assert (data.channels, data.size, data.num_classes) == (1, size, 10)
    # every image once, in the same split each time, with equal class shares
    index = torch.cat([data.train.index, data.validation.index])
    assert torch.equal(index.sort().values, torch.arange(train + validation))
    whole = torch.bincount(torch.cat([data.train.labels, data.validation.labels]), minlength=10)
    share = torch.bincount(data.validation.labels, minlength=10) - whole * validation / (train + validation)
    assert share.abs().max() < 1
    assert load(name, tmp_path).fingerprint == data.fingerprint
    pixels = data.train.images.double() / 255
    assert data.mean.item() == pytest.approx(pixels.mean().item(), abs=1e-6)
    assert data.std.item() == pytest.approx(pixels.std(correction=0).item(), abs=1e-6)
    assert data.train.images.max() == 255


def test_parts_are_random_sorted_and_independent_of_each_other(tmp_path: Path) -> None:
    part = load("digits", tmp_path, train=100, validation=50, seed=1)
    assert len(part.train) == 100 and len(part.validation) == 50
    whole = load("digits", tmp_path)
    rows = torch.searchsorted(whole.train.index, part.train.index)
    assert torch.equal(whole.train.images[rows], part.train.images)
    assert torch.equal(whole.train.labels[rows], part.train.labels)
    assert (part.train.index.diff() > 0).all()
    assert torch.equal(load("digits", tmp_path, train=100, seed=1).train.index, part.train.index)
    assert not torch.equal(load("digits", tmp_path, train=100, seed=2).train.index, part.train.index)
    assert torch.equal(part.mean, whole.mean) and part.fingerprint != whole.fingerprint
    with pytest.raises(InputError, match="'train': expected a number from 1 to 1297, got 5000"):
        load("digits", tmp_path, train=5000)


def test_parquet_shards(tiny: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    folder, pixels, labels = tiny
    for root in (folder, folder / "cifar10"):
        data = load("cifar10", tmp_path / "cache", root)
        assert np.array_equal(data.train.images.permute(0, 2, 3, 1).numpy(), pixels[:30])
        assert np.array_equal(data.validation.images.permute(0, 2, 3, 1).numpy(), pixels[30:])
        assert data.train.labels.tolist() == labels[:30].tolist()
        assert data.validation.index.tolist() == list(range(20))
        assert data.classes == tuple(CIFAR10_CLASSES)


def test_cache_is_reused_and_rebuilt(tiny: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    folder, pixels, labels = tiny
    cache = tmp_path / "cache"
    first = load("cifar10", cache, folder)
    (file,) = cache.iterdir()  # one file, nothing temporary left
    written = file.stat().st_mtime_ns
    again = load("cifar10", cache, folder)
    assert file.stat().st_mtime_ns == written and again.fingerprint == first.fingerprint
    assert torch.equal(again.mean, first.mean) and again.classes == first.classes
    flipped = bytearray(file.read_bytes())
    flipped[-100] ^= 1
    for torn in (file.read_bytes()[:1000], b"", b"x" * 5000, bytes(flipped)):
        file.write_bytes(torn)
        assert load("cifar10", cache, folder).fingerprint == first.fingerprint
        assert list(cache.iterdir()) == [file] and file.stat().st_size > 5000
    # another source is another file
    write_parquet(folder / "cifar10" / "test-00000-of-00001.parquet", pixels[:20], labels[:20])
    assert load("cifar10", cache, folder).fingerprint != first.fingerprint
    assert len(list(cache.iterdir())) == 2


def test_cache_folder_that_cannot_be_written(tiny: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match=r"cannot write .*another --cache-dir"):
        load("cifar10", blocked / "cache", tiny[0])


def tear(folder: Path) -> None:
    file = folder / "cifar10" / "train-00001-of-00002.parquet"
    file.write_bytes(file.read_bytes()[:-50])


def empty(folder: Path) -> None:
    write_parquet(folder / "cifar10" / "test-00000-of-00001.parquet", np.zeros((0, 32, 32, 3)), np.zeros(0, dtype=int))


def lose_test(folder: Path) -> None:
    (folder / "cifar10" / "test-00000-of-00001.parquet").unlink()


def other_columns(folder: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), folder / "cifar10" / "test-00000-of-00001.parquet")


def other_size(folder: Path) -> None:
    write_parquet(folder / "cifar10" / "test-00000-of-00001.parquet", np.zeros((2, 8, 8, 3), np.uint8), np.arange(2))


def label_range(folder: Path) -> None:
    write_parquet(
        folder / "cifar10" / "test-00000-of-00001.parquet",
        np.zeros((2, 32, 32, 3), np.uint8),
        np.array([0, 10]),
    )


def broken_image(folder: Path) -> None:
    path = folder / "cifar10" / "test-00000-of-00001.parquet"
    pq.write_table(pa.table({"img": [{"bytes": b"no picture", "path": None}], "label": [0]}), path)


def short_labels(folder: Path) -> None:
    np.savez(folder / "cifar10" / "cifar10n.npz", aggre_label=np.zeros(7, dtype=np.uint8))


def other_order(folder: Path) -> None:
    np.savez(folder / "cifar10" / "cifar10n.npz", clean_label=np.zeros(30, dtype=np.uint8))


def torn_labels(folder: Path) -> None:
    (folder / "cifar10" / "cifar10n.npz").write_bytes(b"PK nothing")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (tear, "train-00001-of-00002.parquet: not a readable parquet file"),
        (empty, "test-00000-of-00001.parquet: expected images, got a parquet file without rows"),
        (lose_test, r"expected both train\*.parquet and test\*.parquet"),
        (other_columns, "expected a column 'img' or 'image', got text"),
        (other_size, "expected cifar10 with 10 classes of 32x32 pixels, got 10 classes of 8x8"),
        (label_range, "expected labels 0 to 9 in column 'label', got 0 to 10"),
        (broken_image, "row 0 of column 'img': not a readable image"),
        (short_labels, "column 'aggre_label': expected 30 labels, one per training image, got 7"),
        (other_order, "its clean labels differ from the images' in 27 places"),
        (torn_labels, "cifar10n.npz: not a readable file of human labels"),
    ],
)
def test_damage_is_one_sentence(
    damage: Callable[[Path], None], message: str, tiny: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    damage(tiny[0])
    with pytest.raises(InputError, match=message) as caught:
        load("cifar10", tmp_path / "cache", tiny[0])
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*")), "nothing half-done is kept"


@pytest.mark.parametrize("protocol", ["zip", "legacy"])
def test_published_file_of_human_labels(
    protocol: str, tiny: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    folder, _, labels = tiny
    worse = (labels[:30] + 1) % 10
    torch.save(
        {"clean_label": labels[:30], "worse_label": worse},
        folder / "cifar10" / "CIFAR-10_human.pt",
        _use_new_zipfile_serialization=protocol == "zip",
    )
    data = load("cifar10", tmp_path, folder)
    assert list(data.train.extra_labels) == ["worse_label"]
    noisy = add_noise(data, NOISES.get("human").parse({"column": "worse_label"}, "noise"), 0)
    assert noisy.given.tolist() == worse.tolist() and noisy.labels.realised == 1.0


def test_a_file_of_human_labels_runs_no_code(tiny: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    folder = tiny[0]
    torch.save({"worse_label": Path("x")}, folder / "cifar10" / "CIFAR-10_human.pt")
    with pytest.raises(InputError, match="not a readable file of human labels"):
        load("cifar10", tmp_path, folder)


class FakeCifar:
    """Stands in for torchvision's class: 20 images that a download would bring."""

    base_folder, tgz_md5, classes = "cifar-10-batches-py", "0", CIFAR10_CLASSES

    def __init__(self, root: str, train: bool, download: bool) -> None:
        folder = Path(root) / self.base_folder
        if not download and not (folder / "whole").exists():
            raise RuntimeError("Dataset not found or corrupted.")
        folder.mkdir(exist_ok=True)
        self.data = np.full((20, 32, 32, 3), [1, 2, 3] if train else [4, 5, 6], dtype=np.uint8)
        self.data[1:, 0, 0] = np.arange(1, 20)[:, None]
        self.targets = [i % 10 for i in range(20)]


def test_download_and_unpacked_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCifar)
    monkeypatch.setattr("vitmem.data.cifar.COUNTS", (20, 20))
    data = load("cifar10", tmp_path / "cache")
    assert data.train.images[0, :, 5, 7].tolist() == [1, 2, 3] and data.classes == tuple(CIFAR10_CLASSES)
    assert data.validation.images.shape == (20, 3, 32, 32) and data.train.labels.tolist() == [*range(10)] * 2
    unpacked = tmp_path / "mine" / FakeCifar.base_folder
    unpacked.mkdir(parents=True)
    with pytest.raises(InputError, match=r"cannot read it from .* \(Dataset not found or corrupted"):
        load("cifar10", tmp_path / "other", tmp_path / "mine")
    (unpacked / "whole").touch()
    assert load("cifar10", tmp_path / "other", tmp_path / "mine").fingerprint == data.fingerprint


def test_no_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Offline(FakeCifar):
        def __init__(self, root: str, train: bool, download: bool) -> None:
            raise OSError("<urlopen error no route to host>")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Offline)
    with pytest.raises(InputError, match=r"cannot download it into .*--data-dir"):
        load("cifar10", tmp_path)

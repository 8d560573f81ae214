"""Fashion-MNIST from its files: small ones written here, and the published ones where they are."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vitmem.data import fashion_mnist as module
from vitmem.data.fashion_mnist import CONTENT, PACKAGE
from vitmem.data.sets import ImageData
from vitmem.datasets.fashion_mnist import fashion_mnist
from vitmem.errors import InputError

COUNTS = {"train": 20, "t10k": 10}


def idx(array: np.ndarray) -> bytes:
    """Return ``array`` in the format of the files: two zeros, the type, the dimensions, big-endian sizes, bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Return small arrays by file name, which stand for what was published."""
    rng = np.random.default_rng(0)
    found = {}
    for part, count in COUNTS.items():
        found[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28))
        found[f"{part}-labels-idx1-ubyte"] = np.arange(count) % 10
    known = {name: hashlib.sha256(idx(found[name])).hexdigest() for name in CONTENT}
    monkeypatch.setattr(module, "CONTENT", known)
    return found


def write(folder: Path, arrays: dict[str, np.ndarray], packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return folder


@pytest.mark.parametrize("place", ["", "fashion_mnist", "fashion-mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_the_files_are_found(tmp_path: Path, arrays: dict[str, np.ndarray], place: str, packed: bool) -> None:
    write(tmp_path / "data" / place, arrays, packed)
    data = fashion_mnist(tmp_path / "data", tmp_path / "cache")
    for part, split in (("train", data.train), ("t10k", data.validation)):
        assert np.array_equal(split.images[:, 0].numpy(), arrays[f"{part}-images-idx3-ubyte"])
        assert split.labels.tolist() == arrays[f"{part}-labels-idx1-ubyte"].tolist()
        assert split.index.tolist() == list(range(COUNTS[part]))
    assert data.classes[9] == "Ankle boot" and data.channels == 1
    assert fashion_mnist(tmp_path / "data", tmp_path / "cache").fingerprint == data.fingerprint


def flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda raw: gzip.compress(flip(gzip.decompress(raw))),
            "expected Fashion-MNIST as it was published, got other",
        ),
        (lambda raw: raw[:-20], "not a whole gzip file"),
        (lambda raw: b"", "expected Fashion-MNIST as it was published, got other content"),
        (lambda raw: b"<html>not found</html>", "not a whole gzip file"),
    ],
)
def test_damage_is_one_sentence(
    tmp_path: Path, arrays: dict[str, np.ndarray], damage: Callable[[bytes], bytes], message: str
) -> None:
    file = write(tmp_path / "data", arrays) / "train-labels-idx1-ubyte.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=rf"train-labels-idx1-ubyte\.gz: {message}"):
        fashion_mnist(tmp_path / "data", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_file_that_is_not_there(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    (write(tmp_path / "data", arrays) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"fashion_mnist: expected the files train-images-.* leave it out to download"):
        fashion_mnist(tmp_path / "data", tmp_path / "cache")


def test_a_download_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_args: object, **_options: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried there, got:\nno route")

    monkeypatch.setattr(module, "PACKAGE", tmp_path / "none")
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", download)
    with pytest.raises(InputError, match=r"^fashion_mnist: cannot download it into [^\n]+ or install Debian's package"):
        fashion_mnist(None, tmp_path / "cache")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    if not (PACKAGE / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"no Fashion-MNIST in {PACKAGE}: install Debian's package dataset-fashion-mnist")
    return fashion_mnist(None, tmp_path_factory.mktemp("cache"))


def test_the_published_images(real: ImageData) -> None:
    for split, each in ((real.train, 6000), (real.validation, 1000)):
        assert torch.bincount(split.labels).tolist() == [each] * 10
    # mean and standard deviation as they are published
    assert real.mean.item() == pytest.approx(0.2860, abs=1e-4)
    assert real.std.item() == pytest.approx(0.3530, abs=1e-4)

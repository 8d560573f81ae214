"""One split becomes two by digests: the same image is on the same side, whatever lies beside it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vitmem.data.load import load_data
from vitmem.data.sets import ImageData
from vitmem.data.split import held_apart
from vitmem.errors import InputError
from vitmem.registry import DATA

NAMES = [f"{c}/{n:03d}.png" for c in ("ant", "bee") for n in range(40)]
KEYS = st.lists(st.binary(max_size=12), min_size=1, max_size=60, unique=True)
SHARES = st.floats(0.01, 0.99)


def by_hand(key: bytes, share: float) -> bool:
    """Compare all 256 bits with the share, as exact integers."""
    numerator, denominator = share.as_integer_ratio()
    return int(hashlib.sha256(key).hexdigest(), 16) * denominator < numerator * 2**256


def held(keys: list[bytes], share: float) -> list[bool]:
    """Return the sides of ``keys`` between one that is always held out and one that never is."""
    first = next(k for n in range(10**6) if hashlib.sha256(k := b"first %d" % n).digest()[0] == 0)
    last = next(k for n in range(10**6) if hashlib.sha256(k := b"last %d" % n).digest()[0] == 255)
    digests = [hashlib.sha256(key).digest() for key in (first, *keys, last)]
    found = held_apart(digests, np.zeros(len(digests), dtype=np.int64), share, "here").tolist()
    assert found[0] and not found[-1]
    return found[1:-1]


@given(KEYS, SHARES, st.randoms())
def test_a_side_depends_on_the_key_alone(keys: list[bytes], share: float, random: object) -> None:
    sides = dict(zip(keys, held(keys, share), strict=True))
    assert sides == {key: by_hand(key, share) for key in keys}
    some = keys[::2][::-1]
    assert held(some, share) == [sides[key] for key in some]


@given(KEYS, SHARES, SHARES)
def test_a_larger_share_only_adds(keys: list[bytes], one: float, other: float) -> None:
    less, more = (np.array(held(keys, share)) for share in sorted((one, other)))
    assert not (less & ~more).any()


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_each_class_has_about_the_share(share: float) -> None:
    labels = np.arange(20_000) % 4
    mask = held_apart([hashlib.sha256(b"%d" % n).digest() for n in range(20_000)], labels, share, "here")
    for label in range(4):
        assert mask[labels == label].mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 5000))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of forty images, directly in the folder."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "data" / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "data" / "pets"


def load(folder: Path, **options: object) -> ImageData:
    pictures = DATA.get("image_folder").parse({"folder": folder.name, "size": 8, **options}, "data")
    return load_data(pictures, folder.parent, folder.parent.parent / "cache")


def test_a_folder_of_classes_is_one_split(pets: Path) -> None:
    data = load(pets)
    expected = [number for number, name in enumerate(NAMES) if by_hand(name.encode(), 0.1)]
    assert 0 < len(expected) < 20 and data.classes == ("ant", "bee")
    assert data.validation.index.tolist() == expected
    assert sorted([*data.train.index.tolist(), *expected]) == list(range(80))
    for part in (data.train, data.validation):
        assert part.labels.tolist() == [number // 40 for number in part.index.tolist()]
        for pixels, number in zip(part.images, part.index.tolist(), strict=True):
            source = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), source)
    remark = f"data 'image_folder': {len(expected)} of 80 images are held out for validation, about 0.1 of each class"
    assert any(one.startswith(remark) for one in data.remarks)
    again = load(pets)
    assert again.fingerprint == data.fingerprint and again.remarks == data.remarks


def test_a_folder_without_val_and_a_share(pets: Path) -> None:
    direct = load(pets, held_out=0.3)
    moved = pets.parent / "moved"
    shutil.move(pets, moved / "train")
    below = load(moved, held_out=0.3)
    assert below.fingerprint == direct.fingerprint
    expected = [name for name in NAMES if by_hand(name.encode(), 0.3)]
    assert [NAMES[number] for number in below.validation.index.tolist()] == expected
    shutil.copytree(moved / "train", moved / "val")
    assert len(load(moved).validation) == 80, "a folder val is validation, whole"
    assert load(moved, held_out=0.3).fingerprint == direct.fingerprint, "unless a share is asked for"


def test_other_images_move_no_image_to_the_other_side(pets: Path) -> None:
    before = load(pets, held_out=0.3)
    sides = {NAMES[n] for n in before.validation.index.tolist()}
    left = [name for name in NAMES if not name.endswith("5.png")]
    for name in set(NAMES) - set(left):
        (pets / name).unlink()
    assert [left[n] for n in load(pets, held_out=0.3).validation.index.tolist()] == [n for n in left if n in sides]


def test_a_file_of_another_name_may_change_sides(pets: Path) -> None:
    before = load(pets)
    held_out = NAMES[before.validation.index.tolist()[0]]
    new = next(name for n in range(99) if not by_hand((name := f"{held_out[:-4]}x{n}.png").encode(), 0.1))
    (pets / held_out).rename(pets / new)
    assert len(load(pets).validation) == len(before.validation) - 1


@pytest.mark.parametrize("split", ["Train", "val", "testing"])
def test_a_split_is_no_class(pets: Path, split: str) -> None:
    (pets / split).mkdir()
    with pytest.raises(InputError, match=f"expected a folder train of classes in .*, or the classes, got '{split}'"):
        load(pets)


@pytest.mark.parametrize("name", ["valid", "Val", "dev", "Test"])
def test_a_validation_split_of_another_name_is_not_left_unread(pets: Path, name: str) -> None:
    (pets / "train").mkdir()
    for kind in ("ant", "bee"):
        shutil.copytree(pets / kind, pets / name / kind)
        (pets / kind).rename(pets / "train" / kind)
    with pytest.raises(InputError, match=f"expected validation images in val, validation or test, got '{name}'"):
        load(pets)
    assert 10 < len(load(pets, held_out=0.3).validation) < 40


@pytest.mark.parametrize(
    ("name", "split"),
    [("valid.parquet", "valid"), ("Test-00000-of-00001.parquet", "Test"), ("dev_0.parquet", "dev")],
)
def test_parquet_files_of_another_name_are_not_left_unread(tmp_path: Path, real: Path, name: str, split: str) -> None:
    table = pq.read_table(real / "imagenette64" / "train.parquet").slice(0, 120)
    (tmp_path / "data" / "set").mkdir(parents=True)
    for file in ("train.parquet", name):
        pq.write_table(table, tmp_path / "data" / "set" / file)
    says = f"got '{split}'"
    with pytest.raises(InputError, match=f"{says}; rename its files"):
        load(tmp_path / "data" / "set")
    with pytest.raises(InputError, match=f"{says}; name it as 'validation_split'"):
        hub = DATA.get("hub").parse({"path": "set", "size": 8}, "data")
        load_data(hub, tmp_path / "data", tmp_path / "cache")
    assert len(load(tmp_path / "data" / "set", held_out=0.3).validation) > 0


def test_shares_that_leave_nothing(pets: Path) -> None:
    with pytest.raises(InputError, match=r"none of 80 images is held out at a share of 0.0001; raise 'held_out'"):
        load(pets, held_out=0.0001)
    with pytest.raises(
        InputError, match=r"all images of 2 classes are held out at a share of 0.9999; lower 'held_out'"
    ):
        load(pets, held_out=0.9999)
    with pytest.raises(InputError, match=r"'held_out': input should be less than 1, got 1.0"):
        load(pets, held_out=1.0)


def test_a_class_without_held_out_images_is_told(pets: Path) -> None:
    for name in NAMES[:40]:
        if by_hand(name.encode(), 0.1):
            (pets / name).unlink()
    (remark,) = load(pets).remarks
    assert remark.endswith("by the digest of the file name; number of classes without any: 1")


def test_parquet_files_of_one_split_by_the_images(tmp_path: Path, real: Path) -> None:
    table = pq.read_table(real / "imagenette64" / "train.parquet").slice(0, 120)
    (tmp_path / "data" / "set").mkdir(parents=True)
    pq.write_table(table, tmp_path / "data" / "set" / "train.parquet")
    images = [row["bytes"] for row in table.column("image").to_pylist()]
    expected = [row for row, image in enumerate(images) if by_hand(image, 0.1)]
    data = load(tmp_path / "data" / "set")
    assert data.validation.index.tolist() == expected and len(data.train) == 120 - len(expected)
    labels = table.column("label").to_numpy()
    assert np.array_equal(data.train.labels, labels[data.train.index])
    assert torch.equal(data.validation.labels, torch.from_numpy(labels[expected]))

"""Folders of images without labels: which are read, in what order, and what is said of those that cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitmem.data.unlabelled import unlabelled
from vitmem.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of one colour each, in two folders, with what is no image beside them."""
    root = tmp_path / "photos"
    for n, name in enumerate(["a/1.png", "a/2.PNG", "b/3.bmp", "b/4.png", "5.png", "b/c/6.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30 + n, 20), (10 * n, 0, 0)).save(root / name, "bmp" if name.endswith("bmp") else "png")
    (root / "notes.txt").write_text("no image")
    (root / "a" / "._1.png").write_bytes(b"of a Mac")
    return root


def reds(images: object) -> list[int]:
    return np.asarray(images)[:, 0, 0, 0].tolist()


def test_all_of_them_sorted_by_path(folder: Path) -> None:
    found = unlabelled(folder, 16, None, 0)
    assert found.images.shape == (6, 3, 16, 16)
    assert reds(found.images) == [40, 0, 10, 20, 30, 50] and found.broken == ()
    moved = shutil.copytree(folder, folder.with_name("elsewhere"))
    assert unlabelled(moved, 8, None, 3).sha256 == found.sha256
    (moved / "5.png").unlink()
    assert unlabelled(moved, 16, None, 0).sha256 != found.sha256


def test_a_part_comes_from_the_seed(folder: Path) -> None:
    parts = [reds(unlabelled(folder, 8, 3, seed).images) for seed in (0, 0, 1, 2)]
    assert parts[0] == parts[1] and len({tuple(p) for p in parts}) > 1
    assert all(len(set(p)) == 3 for p in parts)


def test_broken_images(folder: Path) -> None:
    whole = (folder / "a" / "1.png").read_bytes()
    (folder / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "3.bmp").write_bytes(b"")
    with pytest.raises(InputError, match=r"a/1.png: not a readable image .*\(and 1 more of 6\).*--skip-broken"):
        unlabelled(folder, 16, None, 0)
    found = unlabelled(folder, 16, None, 0, skip_broken=True)
    assert reds(found.images) == [40, 10, 30, 50]
    assert [path.name for path in found.broken] == ["1.png", "3.bmp"]
    (folder / "a" / "1.png").unlink()
    (folder / "b" / "3.bmp").unlink()
    assert unlabelled(folder, 16, None, 0).sha256 == found.sha256


def test_what_is_missing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        unlabelled(tmp_path / "nowhere", 16, None, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected images \(.*.bmp, .* found none"):
        unlabelled(tmp_path / "empty", 16, None, 0)
    with pytest.raises(InputError, match="photos has 6 images: expected a number from 1 to 6, got 7"):
        unlabelled(folder, 16, 7, 0)
    (tmp_path / "empty" / "x.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"x\.jpg: not a readable image"):
        unlabelled(tmp_path / "empty", 16, None, 0, skip_broken=True)


@pytest.mark.parametrize("made", ["copies", "other formats", "other sizes"])
def test_images_that_are_all_the_same_are_refused(tmp_path: Path, made: str) -> None:
    names = ["1.png", "2.bmp", "3.tiff"] if made == "other formats" else ["1.png", "2.png", "3.png"]
    for n, name in enumerate(names):
        side = 20 + 10 * n if made == "other sizes" else 20
        Image.new("RGB", (side, side), (7, 8, 9)).save(tmp_path / name)
    with pytest.raises(InputError, match=f"--images: {tmp_path}: all 3 images are the same; check the files"):
        unlabelled(tmp_path, 16, None, 0)
    Image.new("RGB", (20, 20), (7, 8, 10)).save(tmp_path / "4.png")
    assert len(unlabelled(tmp_path, 16, None, 0).images) == 4

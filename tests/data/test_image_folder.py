"""Image folders: layout, choice of classes, scaling, and what is said when something is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitmem.data.load import load_data
from vitmem.data.sets import ImageData
from vitmem.errors import InputError
from vitmem.registry import DATA

COLOURS = {"ant": (200, 0, 0), "bee": (0, 200, 0), "cat": (0, 0, 200)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of one colour each: 2 wide training images and 1 high validation image a class."""
    for split, count, size in (("train", 2, (40, 20)), ("val", 1, (12, 24))):
        for name, colour in COLOURS.items():
            inside = tmp_path / "pictures" / split / name
            inside.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", size, colour).save(inside / f"{i}.png")
    return tmp_path / "pictures"


def load(folder: Path, cache: Path, **options: object) -> ImageData:
    pictures = DATA.get("image_folder").parse({"folder": folder.name, "size": 16, **options}, "data")
    return load_data(pictures, folder.parent, cache)


def test_all_classes_sorted(folder: Path, tmp_path: Path) -> None:
    data = load(folder, tmp_path / "cache")
    assert data.classes == ("ant", "bee", "cat") and data.size == 16 and data.channels == 3
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2] and data.validation.labels.tolist() == [0, 1, 2]
    for images in (data.train, data.validation):
        for pixels, label in zip(images.images, images.labels, strict=True):
            assert (pixels.amax((1, 2)) == pixels.amin((1, 2))).all()
            assert tuple(pixels[:, 0, 0].tolist()) == COLOURS[data.classes[label]]
    again = load(folder, tmp_path / "cache")
    assert again.fingerprint == data.fingerprint and len(list((tmp_path / "cache").iterdir())) == 1


def test_chosen_classes_in_their_order(folder: Path, tmp_path: Path) -> None:
    data = load(folder, tmp_path / "cache", classes=["cat", "ant"])
    assert data.classes == ("cat", "ant") and data.train.labels.tolist() == [0, 0, 1, 1]
    assert tuple(data.train.images[0, :, 0, 0].tolist()) == COLOURS["cat"]


def test_the_centre_is_cut_out_of_the_scaled_image(folder: Path, tmp_path: Path) -> None:
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32] = np.arange(16)[:, None, None] * 10
    Image.fromarray(pixels).save(folder / "train" / "ant" / "0.png")
    data = load(folder, tmp_path / "cache")
    assert np.array_equal(data.train.images[0].permute(1, 2, 0).numpy(), pixels[:, 16:32])


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_other_names_of_the_held_out_folder(held_out: str, folder: Path, tmp_path: Path) -> None:
    (folder / "val").rename(folder / held_out)
    assert len(load(folder, tmp_path / "cache").validation) == 3


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["cow", "dog"], "none of the 2 'classes' is in .*, which has ant, bee, cat"),
        (["ant", "caat"], "'caat'; did you mean 'cat'"),
        (["ant", "ant"], "expected different class names"),
        ([], "expected different class names"),
    ],
)
def test_classes_that_do_not_match(classes: list[str], message: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(folder, tmp_path / "cache", classes=classes)
    assert "\n" not in str(caught.value)


def test_missing_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder at"):
        load(tmp_path / "nowhere", tmp_path / "cache")
    pictures = DATA.get("image_folder").parse({"folder": "pictures"}, "data")
    with pytest.raises(InputError, match="expected --data-dir"):
        load_data(pictures, None, tmp_path / "cache")
    with pytest.raises(InputError, match=r"expected a folder train of classes in .*, or the classes, got no folder"):
        load(folder / "train" / "ant", tmp_path / "cache")
    (folder / "val" / "bee" / "0.png").unlink()
    with pytest.raises(InputError, match="expected images of class 'bee'"):
        load(folder, tmp_path / "cache")


def test_a_folder_in_the_home_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    pictures = DATA.get("image_folder").parse({"folder": "~/pictures", "size": 16}, "data")
    data = load_data(pictures, tmp_path / "elsewhere", tmp_path / "cache")
    assert data.classes == ("ant", "bee", "cat")


def test_an_image_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    torn = folder / "train" / "bee" / "1.png"
    torn.write_bytes(torn.read_bytes()[:30])
    with pytest.raises(InputError, match=r"bee/1.png: not a readable image"):
        load(folder, tmp_path / "cache")

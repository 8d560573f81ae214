"""Nothing is bent or passed over in silence: pixels keep their values, names say what belongs to a data set."""

from __future__ import annotations

import io
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vitmem.data.decode import decode_all
from vitmem.data.load import load_data
from vitmem.data.sets import ImageData
from vitmem.data.shards import find_split
from vitmem.errors import InputError
from vitmem.registry import DATA

RAMP = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
EIGHT = (RAMP.astype(np.float64) / 257).round().astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    """Return one image as (H, W, 3)."""
    return decode_all([content], lambda row: f"row {row}")[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_range(kind: str) -> None:
    image = Image.fromarray(RAMP)
    pixels = decoded(encoded(image, kind))
    assert np.array_equal(pixels, np.repeat(EIGHT[..., None], 3, axis=2))
    assert pixels.max() == 255 and (pixels == 255).sum() < 10, "not cut off at white"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.fromarray(RAMP.astype(np.int32)), "32-bit integers"),
        (Image.fromarray(RAMP.astype(np.float32)), "floats"),
        (Image.fromarray((RAMP / 65535).astype(np.float32)), "floats"),
    ],
)
def test_values_without_a_known_range_are_refused(image: Image.Image, words: str) -> None:
    with pytest.raises(InputError, match=f"row 0: its pixels are {words} with an unknown value for white"):
        decoded(encoded(image, "TIFF"))


@pytest.mark.parametrize(("tag", "turned"), [(3, 2), (6, 3), (8, 1)])
def test_images_stand_as_their_orientation_says(tag: int, turned: int) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = tag
    assert np.array_equal(decoded(encoded(Image.fromarray(pixels), "PNG", exif=exif)), np.rot90(pixels, turned))


def test_a_colour_keeps_its_value_under_transparency_and_in_a_palette() -> None:
    rgba = np.full((4, 4, 4), (10, 200, 30, 0), dtype=np.uint8)
    assert (decoded(encoded(Image.fromarray(rgba), "PNG")) == (10, 200, 30)).all()
    palette = Image.fromarray(rgba[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE)
    assert (decoded(encoded(palette, "GIF")) == (10, 200, 30)).all()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["train.parquet", "training.parquet", "test.parquet", "._train.parquet"], ["train.parquet"]),
        (["train-00001-of-00002.parquet", "train-00000-of-00002.parquet"], [0, 1]),
        (["train-00000-of-00001-0123456789abcdef.parquet"], [0]),
        (["train_1.parquet", "train_2.parquet", "train_10.parquet"][:2], [0, 1]),
    ],
)
def test_a_split_is_what_the_names_say(names: list[str], found: list, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    wanted = [name if isinstance(name, str) else sorted(names)[name] for name in found]
    assert [path.name for path in find_split([tmp_path / "none", tmp_path], "train")] == wanted


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train-00000-of-00002.parquet"], "expected 2 shards of the split 'train', got 1 (shard 1 is missing)"),
        (["train.parquet", "train (1).parquet"], "cannot tell whether it belongs to the split 'train'"),
        (["train.parquet", "train-00000-of-00001.parquet"], "cannot tell whether it belongs"),
        (["train_old.parquet"], "move or rename it"),
        (["train-00000-of-00001.parquet", "train-00000-of-00002.parquet"], "the same shard as"),
        (["train-00000-of-00001.parquet", "train-00001-of-00002.parquet"], "of another number of shards"),
        (["train-00000-of-00001.parquet", "train-00001-of-00001.parquet"], "shard 1 is one too many"),
        (["train-0.parquet", "train-2.parquet"], "shard 1 is missing"),
    ],
)
def test_a_split_that_is_not_whole_or_not_alone_is_refused(names: list[str], words: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        find_split([tmp_path], "train", "test")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path, "PNG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, two images each in both splits."""
    for number, inside in enumerate(f"{s}/{c}/{i}.png" for s in ("train", "val") for c in ("ant", "bee") for i in "01"):
        picture(tmp_path / "data" / "set" / inside, number)
    return tmp_path / "data"


def load(folder: Path, **options: object) -> ImageData:
    pictures = DATA.get("image_folder").parse({"folder": "set", "size": 8, **options}, "data")
    return load_data(pictures, folder, folder.parent / "cache")


def test_a_cache_is_asked_by_content(folder: Path) -> None:
    first = load(folder)
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    file = other / "set" / "train" / "ant" / "0.png"
    turned = np.asarray(Image.open(file))[::-1]
    Image.fromarray(turned).save(file)
    original = folder / "set" / "train" / "ant" / "0.png"
    file.write_bytes(file.read_bytes().ljust(original.stat().st_size, b"\0")[: max(original.stat().st_size, 1)])
    for path in other.rglob("*.png"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    for path in folder.rglob("*.png"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert original.stat().st_size == file.stat().st_size and original.stat().st_mtime == file.stat().st_mtime
    assert load(folder).fingerprint == first.fingerprint
    assert np.array_equal(load(other).train.images[0].permute(1, 2, 0).numpy(), turned)


def test_the_same_images_under_other_labels_are_another_set(folder: Path) -> None:
    first = load(folder)
    (folder / "set" / "train" / "ant" / "1.png").rename(folder / "set" / "train" / "bee" / ".tmp")
    (folder / "set" / "train" / "bee" / ".tmp").rename(folder / "set" / "train" / "bee" / "#.png")
    second = load(folder)
    assert torch.equal(first.train.images, second.train.images) and second.train.labels.tolist() == [0, 1, 1, 1]


def test_hidden_files_are_no_images_links_are_followed_and_the_rest_is_counted(folder: Path) -> None:
    plain = load(folder)
    train = folder / "set" / "train"
    picture(train / ".ipynb_checkpoints" / "0.png")
    picture(train / "ant" / ".ipynb_checkpoints" / "0.png")
    (train / "ant" / "._0.png").write_bytes(b"\0\5\x16\7")
    (train / "ant" / "clip.mp4").touch()
    (train / "bee" / "raw.dng").touch()
    picture(train / "stray.png")
    picture(folder / "set" / "extra" / "0.png")
    picture(folder / "elsewhere" / "2.jfif", 99)
    (train / "bee" / "linked").symlink_to(folder / "elsewhere")
    found = load(folder)
    assert found.classes == plain.classes and found.train.labels.tolist() == [0, 0, 1, 1, 1]
    (remark,) = found.remarks
    assert remark.endswith(": 1 folder 'extra', 3 hidden, 1 in no class, 1 of type .dng, 1 of type .mp4")


def test_a_class_folder_may_be_a_link_and_a_name_has_one_spelling(folder: Path) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "né"), unicodedata.normalize("NFD", "né")
    assert composed != decomposed
    (folder / "set" / "train" / "ant").rename(folder / "set" / "train" / composed)
    (folder / "set" / "val" / "ant").rename(folder / "moved")
    (folder / "set" / "val" / decomposed).symlink_to(folder / "moved")
    for classes in (None, [composed, "bee"], [decomposed, "bee"]):
        assert set(load(folder, classes=classes).classes) == {"bee", composed}
    (folder / "set" / "train" / decomposed).mkdir()
    with pytest.raises(InputError, match=r"two folders in .* have the name"):
        load(folder)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_of_one_split_alone_is_refused(folder: Path, split: str) -> None:
    picture(folder / "set" / split / "cat" / "0.png")
    with pytest.raises(InputError, match=rf"class 'cat' is in .*{split} and not in"):
        load(folder)
    assert load(folder, classes=["ant", "bee"]).classes == ("ant", "bee")


def same(folder: Path) -> None:
    for path in (folder / "set" / "train").rglob("*.png"):
        picture(path)


def grey(folder: Path) -> None:
    for path in (folder / "set" / "train").rglob("*.png"):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[..., 2] = 7
        Image.fromarray(pixels).save(path)


def test_images_that_are_all_one_are_refused_and_a_flat_channel_is_told(folder: Path) -> None:
    grey(folder)
    assert load(folder).remarks == ("data 'image_folder': no variation in channel 2 of 3; was the colour lost?",)
    same(folder)
    with pytest.raises(InputError, match="all 4 training images are the same"):
        load(folder)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [a_folder, a_pipe])
def test_what_only_has_the_name_of_an_image_is_none(folder: Path, make: Callable[[Path], None]) -> None:
    plain = load(folder)
    make(folder / "set" / "train" / "ant" / "x.png")
    assert load(folder).fingerprint == plain.fingerprint

"""Streamed images: the same as those in memory from every source, few at a time, and what damage says."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import vitmem.data.decode as decode
import vitmem.data.decoder as decoder
import vitmem.data.loader as loader
import vitmem.data.sets as sets
import vitmem.data.streamed as streamed
from vitmem.bench.cells import DataShared, choose
from vitmem.data.load import load_data
from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import add_noise
from vitmem.data.sets import ImageData
from vitmem.data.shares import Share
from vitmem.data.streamed import StreamedImages
from vitmem.errors import InputError
from vitmem.registry import DATA, NOISES

COUNT, SIZE = 10, 16  # training images of a class, pixels
CLASSES = ("ant", "bee", "cat")


def picture(generator: np.random.Generator, kind: str) -> bytes:
    """Return an image of a few random squares, 20 to 40 pixels a side."""
    height, width = generator.integers(20, 41, 2)
    squares = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(squares).resize((width, height), Image.Resampling.BILINEAR).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The same images as files by class (``files``, ``flat``) and as parquet files (``rows``)."""
    generator = np.random.default_rng(0)
    for split, count in (("train", COUNT), ("val", 4)):
        images, labels = [], []
        for label, name in enumerate(CLASSES):
            for number in range(count):
                content = picture(generator, "PNG" if number % 2 else "JPEG")
                for folder in (tmp_path / "files" / split / name, *([tmp_path / "flat" / name] * (split == "train"))):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / f"{number}.{'png' if number % 2 else 'jpg'}").write_bytes(content)
                images.append({"bytes": content, "path": None})
                labels.append(label)
        (tmp_path / "rows").mkdir(exist_ok=True)
        noisy = [(label + 1) % 3 for label in labels]
        table = pa.table({"image": images, "label": labels, "noisy": noisy})
        pq.write_table(table, tmp_path / "rows" / f"{split}.parquet", row_group_size=7)
    return tmp_path


def load(home: Path, name: str = "image_folder", **options: Any) -> ImageData:
    where = {"folder": "files"} if name == "image_folder" else {"path": "rows"}
    entry = DATA.get(name).parse({"size": SIZE, **where, **options}, "data")
    return load_data(entry, home, home / "cache")


SOURCES: dict[str, dict[str, Any]] = {
    "files": {},
    "classes": {"classes": ["cat", "ant"]},
    "flat": {"folder": "flat", "held_out": 0.3},
    "parquet": {"folder": "rows"},
    "parquet held out": {"folder": "rows", "held_out": 0.2, "classes": ["2", "0"]},
    "hub": {"name": "hub"},
    "hub held out": {"name": "hub", "held_out": 0.2},
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_streams_what_it_holds_in_memory(source: str, home: Path) -> None:
    held = load(home, **SOURCES[source], loading="memory")
    for _ in range(2):  # the second time from what the cache keeps
        read = load(home, **SOURCES[source], loading="stream")
        assert read.fingerprint == held.fingerprint and read.classes == held.classes and read.remarks == held.remarks
        assert torch.equal(read.mean, held.mean) and torch.equal(read.std, held.std)
        for one, other in ((read.train, held.train), (read.validation, held.validation)):
            assert isinstance(one.images, StreamedImages) and isinstance(other.images, torch.Tensor)
            assert one.images.shape == other.images.shape and len(one.images) > 3
            assert torch.equal(one.labels, other.labels) and torch.equal(one.index, other.index)
            assert {k: v.tolist() for k, v in one.extra_labels.items()} == {
                k: v.tolist() for k, v in other.extra_labels.items()
            }
            rows = torch.tensor([3, 0, 3])
            assert torch.equal(one.images[rows], other.images[rows])
            assert torch.equal(torch.cat(list(one.images.split(4))), other.images)
            assert torch.equal(one.take(rows).images[torch.tensor([1])], other.images[:1])
    packed = list((home / "cache").glob("packed-*.images"))
    assert len(packed) == (0 if source in ("files", "classes", "flat") else 1 if "held" in source else 2)


def test_extra_labels_of_streamed_rows(home: Path) -> None:
    read = load(home, folder="rows", loading="stream")
    assert np.array_equal(read.train.extra_labels["noisy"], (read.train.labels.numpy() + 1) % 3)


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of images of each ``decode_all``, with images read two at a time."""
    counts: list[int] = []

    def counted(sources: Any, *args: Any) -> torch.Tensor:
        counts.append(len(sources))
        return decode.decode_all(sources, *args)

    monkeypatch.setattr(streamed, "decode_all", counted)
    monkeypatch.setattr(decoder, "decode_all", counted)
    monkeypatch.setattr(sets, "CHUNK", 2)
    yield counts


@pytest.mark.parametrize("folder", ["files", "rows"])
def test_few_images_are_decoded_at_a_time_and_hardly_any_the_second_time(
    folder: str, home: Path, decodes: list[int]
) -> None:
    first = load(home, folder=folder, loading="stream")
    assert first.fingerprint and max(decodes) == 2 and sum(decodes) >= 2 * 30 + 12
    decodes.clear()
    again = load(home, folder=folder, loading="stream")
    assert again.fingerprint == first.fingerprint and again.train.take(torch.arange(9)).images.shape == (9, 3, 16, 16)
    # whether all images of a split are the same: its first two beside the first, while two more are decoded
    assert max(decodes) == 2 and sum(decodes) <= 2 * 7
    noisy = add_noise(again, NOISES.get("instance_dependent").parse({"rate": 0.2}, "noise"), 0)
    decodes.clear()
    batches = NoisyImagesModule(noisy, batch_size=4, seed=0).batches(0)
    next(batches)
    assert decodes == [], "an epoch decodes image by image"


def test_noise_that_reads_pixels(home: Path) -> None:
    noise = NOISES.get("instance_dependent").parse({"rate": 0.3}, "noise")
    digests = {add_noise(load(home, loading=loading), noise, 3).labels.sha256 for loading in ("memory", "stream")}
    assert len(digests) == 1


def test_what_fits_is_held_and_what_does_not_is_streamed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(load(home).train.images, torch.Tensor)
    monkeypatch.setattr(streamed, "_memory", lambda: 4 * 42 * 3 * SIZE**2)
    assert isinstance(load(home).train.images, torch.Tensor), "42 images are a quarter of the memory"
    monkeypatch.setattr(streamed, "_memory", lambda: 4 * 42 * 3 * SIZE**2 - 1)
    for options in ({}, {"folder": "rows"}, {"name": "hub"}):
        assert isinstance(load(home, **options).train.images, StreamedImages)
    assert isinstance(load(home, loading="memory").train.images, torch.Tensor)
    assert isinstance(load(home, name="hub", size=SIZE, loading="memory").train.images, torch.Tensor)


def test_loading_is_no_part_of_ids_and_goes_to_other_processes() -> None:
    configs = [{"name": "image_folder", "folder": "files", **more} for more in ({}, {"loading": "stream"})]
    plain, stream = (choose(DataShared, config) for config in configs)
    assert stream.config == plain.config and "loading" not in plain.config
    assert pickle.loads(pickle.dumps(stream)).entry.loading == "stream"


@pytest.mark.parametrize("way", ["written over", "replaced", "another folder"])
def test_other_images_of_the_old_names_sizes_and_times(home: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [home, home / "second"]
    for number, folder in enumerate(sets):
        for name in [f"{split}/{kind}/{n}.bmp" for split in ("train", "val") for kind in CLASSES for n in range(2)]:
            file = folder / "set" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([number, *name.encode()]).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file)
            os.utime(file, (1_000_000_000, 1_000_000_000))
    options = {"folder": "set", "size": SIZE, "loading": "stream"}
    pictures = DATA.get("image_folder").parse(options, "data")
    monkeypatch.chdir(home)
    first = load_data(pictures, Path(), home / "cache").fingerprint
    for file in sorted((home / "second").rglob("*.bmp")):
        old = home / file.relative_to(home / "second")
        if way == "written over":
            old.write_bytes(file.read_bytes())
            os.utime(old, (1_000_000_000, 1_000_000_000))
        elif way == "replaced":
            file.replace(old)
    if way == "another folder":
        monkeypatch.chdir(home / "second")
    second = load_data(pictures, Path(), home / "cache")
    held = load_data(pictures.model_copy(update={"loading": "memory"}), Path(), home / "cache")
    assert second.fingerprint == held.fingerprint != first


def test_images_go_to_workers_of_any_kind(home: Path) -> None:
    for folder in ("files", "rows"):
        images = load(home, folder=folder, loading="stream").train.images
        other = pickle.loads(pickle.dumps(images))  # as forkserver and spawn send them
        assert torch.equal(other[torch.arange(3)], images[torch.arange(3)])


@pytest.fixture(params=[0, 2], ids=["here", "workers"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process, or in two worker processes."""
    monkeypatch.setattr(loader, "_workers", lambda device: request.param)


@pytest.mark.parametrize("folder", ["files", "rows"])
def test_batches_are_those_of_images_in_memory(folder: str, workers: None, home: Path) -> None:
    noise = NOISES.get("symmetric").parse({"rate": 0.2}, "noise")
    for share in (Share(), Share(rank=1, ranks=2, parts=2)):
        modules = [
            NoisyImagesModule(
                add_noise(load(home, folder=folder, loading=loading), noise, 0),
                batch_size=8,
                seed=3,
                crop=2,
                flip=True,
                share=share,
            )
            for loading in ("memory", "stream")
        ]
        for epoch in (0, 1):
            both = list(zip(*(module.batches(epoch) for module in modules), strict=True))
            assert len(both) == len(modules[0].weights)
            for one, other in both:
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        curves = [[batch for loader in module.val_dataloader() for batch in loader] for module in modules]
        assert all(torch.equal(a, b) for pair in zip(*curves, strict=True) for a, b in zip(*pair, strict=True))


def sentence(run: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        run()
    text = str(caught.value)
    assert "\n" not in text and "Traceback" not in text
    return text


def test_an_image_that_is_damaged_in_the_middle_of_an_epoch(workers: None, home: Path) -> None:
    noise = NOISES.get("symmetric").parse({"rate": 0.2}, "noise")
    noisy = add_noise(load(home, loading="stream"), noise, 0)
    torn = home / "files" / "train" / "bee" / "4.jpg"
    torn.write_bytes(torn.read_bytes()[:300])
    module = NoisyImagesModule(noisy, batch_size=4, seed=0)
    text = sentence(lambda: list(module.batches(0)))
    assert text.startswith(f"{torn}: not a readable image (")
    torn.unlink()
    assert sentence(lambda: list(module.batches(0))).startswith(f"{torn}: no such file")


def test_a_damaged_image_of_the_first_pass(home: Path) -> None:
    table = pq.read_table(home / "rows" / "train.parquet")
    images = table.column("image").to_pylist()
    images[8] = {"bytes": images[8]["bytes"][:200], "path": None}
    pq.write_table(table.set_column(0, "image", pa.array(images)), home / "rows" / "train.parquet")
    for name, where in (("image_folder", {"folder": "rows"}), ("hub", {})):
        told = {sentence(lambda: load(home, name, **where, loading=kind)) for kind in ("memory", "stream")}  # noqa: B023
        (text,) = told
        assert text.startswith(f"{home / 'rows' / 'train.parquet'}: row 8 of column 'image': not a readable image (")
    images[9] = {"bytes": None, "path": None}
    pq.write_table(table.set_column(0, "image", pa.array(images)), home / "rows" / "train.parquet")
    assert "row 9: expected the bytes of an image" in sentence(lambda: load(home, folder="rows", loading="stream"))
    assert not list((home / "cache").glob(".packed*")), "nothing is half written"


def test_packed_images_that_are_damaged(home: Path) -> None:
    read = load(home, folder="rows", loading="stream")
    path = read.train.images.source.path
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"x" + content[-8:])
    assert (
        sentence(lambda: read.train.images[:])
        == f"{path}: damaged at image 29; remove this file, and it is written anew"
    )
    path.write_bytes(content[:-9])  # of another size than it had
    assert load(home, folder="rows", loading="stream").fingerprint == read.fingerprint
    path.unlink()
    assert load(home, folder="rows", loading="stream").fingerprint == read.fingerprint
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["flips", "cuts", "doubled"])
def test_a_damaged_index_of_packed_images_is_written_anew(home: Path, damage: str) -> None:
    read = load(home, folder="rows", loading="stream")
    images, index = read.train.images[:], read.train.images.source.path.with_suffix(".safetensors")
    whole, generator = index.read_bytes(), np.random.default_rng(0)
    for place in generator.integers(0, len(whole), 40 if damage == "flips" else 5):
        flipped = whole[:place] + bytes([whole[place] ^ 1 << int(generator.integers(8))]) + whole[place + 1 :]
        index.write_bytes({"flips": flipped, "cuts": whole[:place], "doubled": whole + whole}[damage])
        again = load(home, folder="rows", loading="stream")
        assert again.fingerprint == read.fingerprint and torch.equal(again.train.images[:], images)


def test_streamed_images_need_a_size(home: Path) -> None:
    assert "streamed images need a 'size'" in sentence(lambda: load(home, "hub", size=None, loading="stream"))


def test_results_of_a_pass_that_are_damaged_are_computed_anew(home: Path) -> None:
    read = load(home, loading="stream")
    kept = sorted((home / "cache").glob("streamed-*.json"))
    assert len(kept) == 1 and read.fingerprint
    before = kept[0].read_text()
    for damage in (before.replace("0.", "0.1", 1), before[:20], "[]"):
        kept[0].write_text(damage)
        assert torch.equal(load(home, loading="stream").mean, read.mean)
        assert kept[0].read_text() == before

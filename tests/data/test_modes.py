"""Pictures as formats and cameras make them: every mode by its range, torn notes, formats that are no pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from vitmem.data.decode import SUFFIXES, decode_all
from vitmem.errors import InputError

RAMP = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
EIGHT = (RAMP / 257).round().astype(np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(content: bytes, size: int | None = None) -> np.ndarray:
    """Return one image as (H, W, 3)."""
    return decode_all([content], lambda row: f"here: row {row}", size)[0].permute(1, 2, 0).numpy()


def tags(**values: int) -> TiffImagePlugin.ImageFileDirectory_v2:
    found = TiffImagePlugin.ImageFileDirectory_v2()
    found[262] = values["photometric"]
    return found


def test_a_tiff_of_16_bits_in_which_0_is_white() -> None:
    content = encoded(Image.fromarray(RAMP), "TIFF", tiffinfo=tags(photometric=0))
    with Image.open(io.BytesIO(content)) as image:
        assert image.tag_v2[262] == 0
    assert np.array_equal(pixels(content)[:, :, 0], 255 - EIGHT)
    assert np.array_equal(pixels(encoded(Image.fromarray(RAMP), "TIFF"))[:, :, 0], EIGHT)


def test_a_tiff_of_12_bits_is_as_bright_as_one_of_16() -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65  # 0 to 4095
    packed = bytearray()
    for first, second in values.reshape(-1, 2).tolist():
        packed += bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    head = encoded(Image.fromarray(values), "TIFF")
    with Image.open(io.BytesIO(head)) as image:
        place = image.tag_v2[273][0]
    # the same file with 12 bits a value: the tag of the bits, and the bytes that they take
    content = bytearray(head)
    entry = bytes([2, 1, 3, 0, 1, 0, 0, 0, 16, 0])
    assert content.count(entry) == 1
    content[content.index(entry) + 8] = 12
    content[place : place + len(packed)] = packed
    assert np.array_equal(pixels(bytes(content))[:, :, 2], (values * (255 / 4095)).round())


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "RGBA", "LA"])
def test_modes_of_8_bits_are_as_pillow_converts_them(mode: str) -> None:
    content = encoded(Image.fromarray(COLOURS).convert(mode), "TIFF")
    with Image.open(io.BytesIO(content)) as again:
        assert np.array_equal(pixels(content), np.asarray(again.convert("RGB")))


def test_cmyk_as_adobe_writes_it() -> None:
    content = encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")  # no ink, stored inverted
    assert pixels(content).min() > 250


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_the_orientation_of_a_camera_is_applied_in_every_format(kind: str) -> None:
    image = Image.fromarray(np.repeat(np.arange(0, 256, 32, dtype=np.uint8)[:, None], 8, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    turned = pixels(encoded(image, kind, exif=exif))[:, :, 0].astype(int)
    assert (np.diff(turned.mean(0)) < -20).all() and np.abs(np.diff(turned.mean(1))).max() < 5


def test_torn_notes_of_a_camera_leave_the_pixels() -> None:
    plain = encoded(Image.fromarray(COLOURS), "PNG")
    for torn in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert np.array_equal(pixels(encoded(Image.fromarray(COLOURS), "PNG", exif=torn)), pixels(plain))


def test_formats_that_run_programs_are_no_images() -> None:
    with pytest.raises(InputError, match="no known format"):
        pixels(encoded(Image.fromarray(COLOURS), "EPS"))


def test_every_suffix_has_a_format_that_is_decoded() -> None:
    for suffix in SUFFIXES:
        kind = Image.registered_extensions()[suffix]
        mode = "1" if suffix == ".pbm" else "RGB"
        assert pixels(encoded(Image.fromarray(COLOURS).convert(mode), kind)).shape == (8, 8, 3)


def test_a_strip_that_would_fill_the_memory() -> None:
    with pytest.raises(InputError, match="here: row 0: a strip of 60000x1 pixels, too long to be scaled to 224"):
        pixels(encoded(Image.new("L", (60_000, 1)), "PNG"), 224)

"""Files and arrays that are not what they should be: one sentence that names the file or the array."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vitmem.data.decode import decode_all
from vitmem.data.human_labels import read_human
from vitmem.data.sets import ImageSet, assemble
from vitmem.data.view_files import read_duplicates, read_label_errors, read_votes
from vitmem.data.views import load_view
from vitmem.errors import InputError

CLEAN = np.arange(40) % 10


def sentence(call: Callable[[], Any]) -> str:
    """Return what ``call`` says: one sentence without the address of an object in memory."""
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and not re.search(r"0x[0-9a-f]{6}", text)
    return text


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def huge() -> bytes:
    """A small file whose header says 50,000 x 50,000 pixels."""
    out = bytearray(png())
    out[16:24] = struct.pack(">II", 50_000, 50_000)
    out[29:33] = struct.pack(">I", zlib.crc32(bytes(out[12:29])))
    return bytes(out)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no known format"),
        (b"no picture", "no known format"),
        (b"GIF89a\x08\x00\x08\x00\x80\x00\x00", "not a readable image"),
        (png()[:100], "truncated"),
        (huge(), "exceeds limit"),
    ],
    ids=["empty", "text", "gif", "half", "huge"],
)
def test_images_that_do_not_decode(content: bytes, says: str) -> None:
    for sources in ([content, png()], [png(), content]):
        text = sentence(lambda sources=sources: decode_all(sources, lambda row: f"here: row {row}"))
        assert text.startswith(f"here: row {sources.index(content)}: not a readable image (") and says in text


def torn(path: Path) -> None:
    np.savez_compressed(path, aggre_label=np.random.default_rng(0).integers(0, 10, 40))
    content = bytearray(path.read_bytes())
    content[60:110] = b"\xff" * 50
    path.write_bytes(content)


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, CLEAN)


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("a.npz", lambda p: np.savez(p, aggre_label=np.array(["cat"] * 40)), "'aggre_label': expected whole numbers"),
        ("a.npz", lambda p: np.savez(p, aggre_label=CLEAN + 0.5), "expected whole numbers, got float64; convert"),
        (
            "a.npz",
            lambda p: np.savez(p, aggre_label=CLEAN[:, None]),
            "expected 40 labels, one per training image, got 40 x 1",
        ),
        (
            "a.npz",
            lambda p: np.savez(p, aggre_label=np.array(3)),
            "expected 40 labels, one per training image, got one",
        ),
        ("a.npz", lambda p: np.savez(p, aggre_label=np.array([{}] * 40)), "(no array, or more than arrays)"),
        ("a.npz", lambda p: p.write_bytes(b"xx"), "(no array, or more than arrays)"),
        ("a.npz", one_array, "(one array, not columns by name)"),
        ("a.npz", torn, "not a readable file of human labels (Error"),
        ("a.pt", lambda p: torch.save([1, 2], p), "(a list, not columns by name)"),
        ("a.pt", lambda p: torch.save({"aggre_label": ["a"] * 40}, p), "expected whole numbers"),
        (
            "a.pt",
            lambda p: torch.save({"aggre_label": Path("x")}, p),
            "(no array, or more than arrays); fetch the file",
        ),
        ("a.pt", lambda p: p.write_bytes(b"xx"), "not a readable file of human labels"),
    ],
)
def test_files_of_human_labels(tmp_path: Path, name: str, write: Callable[[Path], None], says: str) -> None:
    write(tmp_path / name)
    text = sentence(lambda: read_human(tmp_path / name, CLEAN))
    assert text.startswith(str(tmp_path / name)) and says in text


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (torch.arange(59) % 3, "labels: expected 60 values, one per image, got 59"),
        (torch.arange(60).int() % 3, "labels: expected int64 of shape (N,), one per image, got torch.int32 of (60,)"),
        (
            torch.arange(60)[:, None] % 3,
            "labels: expected int64 of shape (N,), one per image, got torch.int64 of (60, 1)",
        ),
        (torch.arange(60) % 4, "data 'pets': expected validation labels 0 to 2, one per class name, got 0 to 3"),
        (torch.arange(60) % 3 - 1, "data 'pets': expected validation labels 0 to 2, one per class name, got -1 to 1"),
    ],
)
def test_label_arrays(labels: torch.Tensor, says: str) -> None:
    images, index = torch.zeros(60, 1, 2, 2, dtype=torch.uint8), torch.arange(60)
    train = ImageSet(images, index % 3, index)
    assert sentence(lambda: assemble("pets", train, ImageSet(images, labels, index), ("a", "b", "c"))) == says


@pytest.mark.parametrize(
    ("read", "write", "says"),
    [
        (read_duplicates, lambda p: p.write_text(""), "not the expected file (no column TestID)"),
        (read_duplicates, lambda p: p.write_text("a,b\n1,2\n"), "(no column TestID); fetch it again"),
        (read_duplicates, lambda p: p.write_text("TestID,TrainID\nx,0\n"), "(invalid literal for int()"),
        (read_votes, lambda p: np.savez(p.open("wb"), counts_original_order=-np.ones((3, 2))), "got 3 other rows"),
        (read_votes, lambda p: np.savez(p.open("wb"), counts_original_order=np.zeros((3, 2))), "got 3 other rows"),
        (
            read_votes,
            lambda p: np.savez(p.open("wb"), counts_original_order=np.full((3, 2), np.nan)),
            "got 3 other rows",
        ),
        (read_votes, lambda p: np.savez(p.open("wb"), counts_original_order=np.array([["a"]])), "expected numbers"),
        (read_votes, lambda p: np.savez(p.open("wb"), counts_original_order=np.ones(3)), "expected votes (N, K)"),
        (read_label_errors, lambda p: p.write_bytes(b"xx"), "not the expected file"),
    ],
)
def test_files_of_views(tmp_path: Path, read: Any, write: Callable[[Path], None], says: str) -> None:
    write(tmp_path / "file")
    text = sentence(lambda: read(tmp_path / "file"))
    assert text.startswith(f"{tmp_path / 'file'}: ") and says in text


def test_votes_for_fewer_classes_than_the_images_have(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10h.npz", counts_original_order=np.ones((40, 9)))
    index, labels = torch.arange(40), torch.from_numpy(CLEAN)
    text = sentence(lambda: load_view("agreement_humans", "cifar10", [tmp_path], index, labels))
    assert text == f"{tmp_path}{os.sep}cifar10h.npz: expected votes for 10 classes or more, got 9"

"""Every kind of file that data are read from, ways to damage it, and what its reader then does.

An outcome is a ``sentence`` (InputError of one line), the ``same`` values as of the whole file, ``other`` values, or a
``traceback``. Which kinds guard all of their bytes, so that other values would be a fault, stands with each.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.numpy import save_file

from vitmem.data.cache import cached
from vitmem.data.decoder import Decoder
from vitmem.data.human_labels import read_human
from vitmem.data.parquet import read_split
from vitmem.data.sets import ImageSet, assemble
from vitmem.data.unlabelled import unlabelled
from vitmem.data.view_files import read_duplicates, read_label_errors, read_votes
from vitmem.errors import InputError
from vitmem.language.data.documents import documents
from vitmem.language.data.passages import read_corpus
from vitmem.language.data.windows.read import read_windows
from vitmem.language.datasets.passages import passages
from vitmem.noise.base import NoiseContext
from vitmem.noise.label_file import read_labels
from vitmem.noise.matrix import checked_matrix, read_matrix
from vitmem.noise.probabilities import read_probabilities

LABELS = np.arange(20) % 4
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
TABLE = np.eye(4)[LABELS] * 0.6 + 0.1
COARSE = np.arange(20) % 2


@dataclass(frozen=True)
class Kind:
    """How a file of this kind is written and read; ``guarded`` when a checksum covers what it says.

    That of an npz covers its columns and not the directory of the zip, which may lose one.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    guarded: bool = False


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def image(kind: str) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(encoded(PIXELS[0], kind))


def hub(path: Path) -> None:
    features = {"label": {"names": list("abcd"), "_type": "ClassLabel"}}
    images = [{"bytes": encoded(p, "PNG"), "path": None} for p in PIXELS]
    table = pa.table({"img": images, "label": LABELS, "noisy": LABELS[::-1].copy()})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, write_page_checksum=True)


def split(path: Path) -> Any:
    found = read_split([path], Decoder("parquet", path.parent))
    return found.images.images, found.images.labels, found.classes, dict(found.images.extra_labels)


def books(path: Path) -> None:
    pq.write_table(pa.table({"name": ["a", "b"], "text": ["one two", "three"]}), path, write_page_checksum=True)


def npz(**columns: np.ndarray) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez_compressed(file, **columns)

    return write


def lines(*rows: dict[str, Any]) -> Callable[[Path], Any]:
    return lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_passages(path: Path) -> Any:
    books(path.with_name("corpus.parquet"))
    path.replace(path.with_name("famous_passages.jsonl"))
    found = passages(path.parent.parent, path.parent, folder=path.parent.name)
    return [(p.id, p.kind, p.text) for p in found.passages]


def whole_set() -> Any:
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).contiguous()
    train, held_out = (
        ImageSet(images.clone(), torch.from_numpy(LABELS.copy()), torch.arange(20), {"noisy": LABELS}) for _ in "tv"
    )
    return assemble("pets", train, held_out, tuple("abcd"), COARSE[:4])


def read_cache(path: Path) -> Any:
    """Read the file as one of the cache; a damaged one is decoded anew."""
    cache = path.parent / "cache"
    cache.mkdir(exist_ok=True)
    path.replace(cache / "pets-0.safetensors")
    data = cached(cache, "pets", "0", whole_set)
    return data.train.images, data.train.labels, data.classes, data.mean, data.std, dict(data.train.extra_labels)


def write_cache(path: Path) -> None:
    cached(path.parent, "pets", "0", whole_set)
    (path.parent / "pets-0.safetensors").replace(path)


def probabilities(path: Path) -> Any:
    context = NoiseContext("pets", 4, index=np.arange(20))
    return read_probabilities(str(path), context, 20, "pmd")


def matrix(path: Path) -> Any:
    return checked_matrix(read_matrix(path), 3, "noise 'transition'")


def own_labels(path: Path) -> Any:
    known = NoiseContext("x", 4, classes=tuple("abcd"), total=20)
    return read_labels(path, None, np.arange(20), known, "noise 'file'")


def human(path: Path) -> Any:
    return read_human(path, LABELS)


POSITIONS = np.arange(20)
VOTES = np.eye(4, dtype=np.int64)[LABELS] * 40 + 3
ERRORS = {"id": np.arange(20), "given": LABELS, "votes": np.tile([1, 3, 1, 0], (20, 1))}
MTURK = [{"id": n, "given_original_label": 1, "mturk": {"given": n % 5}} for n in range(9)]
PASSAGES = [{"id": f"p{n}", "kind": ["famous", "control"][n % 2], "text": f"text {n}"} for n in range(6)]
KINDS = (
    Kind("x.png", image("PNG"), lambda p: unlabelled(p.parent, 8, None, 0).images, guarded=True),
    *(
        Kind(f"x.{kind.lower()}", image(kind), lambda p: unlabelled(p.parent, 8, None, 0).images)
        for kind in ("JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
    ),
    Kind("hub.parquet", hub, split),
    Kind("books.parquet", books, lambda p: read_corpus(p, "passages")),
    Kind("texts.parquet", books, lambda p: list(documents(p))),
    Kind("human.npz", npz(clean_label=LABELS, worse=LABELS), human),
    Kind("human.pt", lambda p: torch.save({"clean_label": LABELS, "worse": LABELS}, p), human),
    Kind("cifar10h.npz", npz(counts_original_order=VOTES, row_to_original_index=POSITIONS), read_votes),
    Kind("cifar10h-counts.npy", lambda p: np.save(p.open("wb"), VOTES), read_votes),
    Kind("errors.npz", npz(**ERRORS), read_label_errors),
    Kind("errors.json", lambda p: p.write_text(json.dumps(MTURK)), read_label_errors),
    Kind("twins.csv", lambda p: p.write_text("TestID,TrainID\n3,4\n17,5\n17,6\n"), read_duplicates),
    Kind("p.safetensors", lambda p: save_file({"probabilities": TABLE, "index": np.arange(20)}, p), probabilities),
    Kind("m.csv", lambda p: p.write_text("0.9,0.1,0\n0,1,0\n0.2,0.2,0.6\n"), matrix),
    Kind("m.json", lambda p: p.write_text("[[0.9, 0.1, 0], [0, 1, 0], [0.2, 0.2, 0.6]]"), matrix),
    Kind("own.csv", lambda p: p.write_text("label\n" + "".join(f"{'abcd'[n]}\n" for n in LABELS)), own_labels),
    Kind("own.npz", npz(noisy=LABELS), own_labels),
    Kind("t.txt", lambda p: p.write_text("A text, with an ä."), lambda p: list(documents(p))),
    Kind("t.jsonl", lines({"text": "one"}, {"text": "two"}), lambda p: list(documents(p))),
    Kind("w.jsonl", lines(*({"prefix_ids": [1, 2], "suffix_ids": [3, n]} for n in range(4))), read_windows),
    Kind("passages.jsonl", lines(*PASSAGES), read_passages),
    Kind("cache.safetensors", write_cache, read_cache, guarded=True),
)  # fmt: skip


def damages(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield ``count`` damaged forms: flipped bits and bytes, ends that are missing, blocks of zeros, no content."""
    yield b""
    yield from (b"\0" * len(content), b"[" * 100_000, b"{}", b"\x80\x04.", encoded(PIXELS[1], "PNG")[:60])
    for n in range(max(count - 6, 0)):
        damaged = bytearray(content)
        place = int(rng.integers(len(content)))
        if n % 5 < 2:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif n % 5 == 2:
            damaged[place] = int(rng.integers(256))
        elif n % 5 == 3:
            damaged = damaged[:place]
        else:
            damaged[place : place + 16] = bytes(min(16, len(content) - place))
        yield bytes(damaged)


def outcome(kind: Kind, path: Path) -> tuple[str, str, str]:
    """Return what came of reading ``path``, its text or the digest of the values, and the type of a foreign error."""
    try:
        values = kind.read(path)
    except InputError as error:
        text = str(error)
        good = len(text) <= 400 and "\n" not in text and text
        return ("sentence", text, "") if good else ("traceback", text, "a long sentence")
    except Exception as error:
        return "traceback", str(error)[:200], type(error).__name__
    return "values", hashlib.sha256(repr(plain(values)).encode()).hexdigest(), ""


def plain(values: Any) -> Any:
    """Return ``values`` as lists and texts, to be compared."""
    if isinstance(values, torch.Tensor | np.ndarray):
        return str(values.dtype), values.tolist()
    if isinstance(values, dict):
        return [(key, plain(value)) for key, value in sorted(values.items())]
    if isinstance(values, list | tuple):
        return [str(getattr(value, "row", plain(value))) for value in values]
    return values


def tried(kind: Kind, folder: Path, count: int, seed: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield the outcome of each of ``count`` damages of a file of ``kind``, each in a folder of its own."""
    folder.mkdir(parents=True)
    whole = folder / kind.name
    kind.write(whole)
    content = whole.read_bytes()
    _, right, _ = outcome(kind, whole)
    for number, damaged in enumerate(damages(content, count, np.random.default_rng(seed))):
        path = folder / str(number) / kind.name
        path.parent.mkdir()
        path.write_bytes(damaged)
        what, text, error = outcome(kind, path)
        yield ("same" if text == right else "other") if what == "values" else what, text, error

"""What is found in architectures of timm and torchvision, a line each: ``python tests/models/architectures.py``.

Its output is ``architectures.txt``, which a test compares. Read every line that changes against the depths of the
architecture before it is kept: ``python tests/models/architectures.py > tests/models/architectures.txt``.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.registry import MODELS

FILE = Path(__file__).parent / "architectures.txt"
# Their constructors read values of weights.
NEED_VALUES = ("torchvision/regnet_y_400mf",)
SIZES = {240: ("crossvit_9_240",), 256: ("maxvit_rmlp_pico_rw_256", "coatnet_nano_rw_224", "swinv2_tiny_window8_256")}


def line(name: str) -> str:
    """Return name, positions, number of blocks, where they are and which layers they have."""
    return f"{name}: {summary(name)}"


def summary(name: str, size: int | None = None) -> str:
    """Return what is found in the architecture ``name``, or the sentence that says why nothing is."""
    try:
        model = made(name, size or _size(name))
    except InputError as error:
        return str(error)
    layers = Counter(model.layers_of or [model.layers] * len(model.blocks))
    kinds = "; ".join(f"{count} x {' '.join(names) or 'itself'}" for names, count in layers.items())
    return f"{len(model.blocks)} blocks, {model.positions}: {grouped(model.blocks)} | {kinds}"


def made(name: str, size: int) -> VisionModel:
    """Return the model ``name`` for images of ``size`` pixels, without values where it can be made so."""
    place = nullcontext() if name in NEED_VALUES else torch.device("meta")
    with warnings.catch_warnings(), place:
        warnings.simplefilter("ignore")
        return build(MODELS.get(name).parse({}, "model"), ImageShape(3, size, 10), 0, architecture_of(name))


def grouped(paths: Sequence[str]) -> str:
    """Return ``paths`` in order with runs of numbers under one name: stages.0.blocks.[0-2]."""
    runs: list[list[str]] = []
    for path in paths:
        if runs and _stem(runs[-1][-1]) == _stem(path) and _number(path) == _number(runs[-1][-1]) + 1:
            runs[-1].append(path)
        else:
            runs.append([path])
    ends = ((run, _number(run[0]), _number(run[-1])) for run in runs)
    return " ".join(run[0] if first == last else f"{_stem(run[0])}[{first}-{last}]" for run, first, last in ends)


def _size(name: str) -> int:
    return next((size for size, names in SIZES.items() if name.partition("/")[2] in names), 224)


def _stem(path: str) -> str:
    return re.sub(r"\d+$", "", path)


def _number(path: str) -> int:
    found = re.search(r"\d+$", path)
    return int(found[0]) if found else -2


if __name__ == "__main__":
    names = sys.argv[1:] or [text.split(":")[0] for text in FILE.read_text().splitlines()]
    print("\n".join([line(name) for name in names]))

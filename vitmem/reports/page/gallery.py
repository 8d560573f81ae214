"""Images with given and true labels, and predictions before and after each edit. Does not import torch."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitmem.reports.choose import choose
from vitmem.reports.escape import one_line_of
from vitmem.reports.page.material import Pictures
from vitmem.reports.report import Report
from vitmem.rows import Row

# Number of wrongly labelled images shown per training, and of right ones broken by the first method.
WRONG, HARMED = 24, 8
# Number of trainings with images, and the longer side of a picture: these bound the size of a page.
TRAININGS, SIDE = 12, 96
DRAWN = "drawn at random"
# Maximum length of a class name below an image.
LONGEST = 60


@dataclass(frozen=True)
class Wanted:
    """The cells of one training and seed whose predictions a gallery shows, the unedited model's first.

    ``leading`` is the method whose predictions stand below each image: K-FAC, or the first.
    """

    name: str
    seed: int
    rows: Mapping[str, Row]
    leading: str = ""


@dataclass(frozen=True)
class Label:
    """A predicted class, and its relation to the image: ``given``, ``true`` or ``other``."""

    text: str
    kind: str


@dataclass(frozen=True)
class Shown:
    """One image of the page: its source as a data URI, and its labels."""

    source: str
    alternative: str
    given: str
    true: str
    predicted: tuple[Label, ...]


@dataclass(frozen=True)
class Gallery:
    """Images with their labels; ``cards`` are the places in ``methods`` of those named below each image."""

    images: tuple[Shown, ...]
    methods: tuple[str, ...]
    cards: tuple[int, ...]


def wanted(report: Report) -> list[Wanted]:
    """Return the galleries of the first trainings: each method at its chosen setting, on the lowest seed."""
    out = []
    for training in report.trainings:
        base = training.base
        if base is None or not any(row.get("counts", {}).get("noisy") for row in base.rows.values()):
            continue
        seed = min(base.rows)
        rows = {"base": base.rows[seed]}
        for groups in report.methods(training):
            best = choose(groups, base).group
            if best is not None and seed in best.rows:
                rows[report.names.method(best)] = best.rows[seed]
        leading = report.leading(training)
        name = report.names.method(leading[0]) if leading else ""
        out.append(Wanted(report.names.training(training), seed, rows, name))
    return out[:TRAININGS]


def draw(
    found: Wanted,
    noisy_report: NDArray[np.int64],
    given: NDArray[np.int64],
    true: NDArray[np.int64],
    predicted: Mapping[str, NDArray[np.int64]],
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield titles and positions (m,) of the images to show, deterministically.

    ``noisy_report`` (r,) are the positions of the wrongly labelled images of the report half; ``given``, ``true`` and
    each of ``predicted`` (n,) are the classes of all training images.
    """
    some = np.sort(np.random.default_rng(0).permutation(noisy_report)[:WRONG])
    total = f"{len(some)} of {len(noisy_report):,} wrongly labelled images of the report half, {DRAWN}"
    yield f"{found.name}, seed {found.seed}: {total}", some
    edit = leading_of(found.leading, predicted)
    if edit:
        right = (given == true) & (predicted["base"] == true)
        harmed = np.flatnonzero(right & (predicted[edit] != true))
        some = np.sort(np.random.default_rng(0).permutation(harmed)[:HARMED])
        title = f"{len(some)} of {len(harmed):,} rightly labelled training images that {edit} turned wrong, {DRAWN}"
        if len(some):
            yield f"{found.name}, seed {found.seed}: {title} (of {int(right.sum()):,} that the base has right)", some


def leading_of(leading: str, predicted: Mapping[str, object]) -> str:
    """Return ``leading`` if it has predictions, else the first edit that has; empty without an edit."""
    return leading if leading in predicted else next(iter(list(predicted)[1:]), "")


def gallery_of(pictures: Pictures) -> Gallery:
    """Return the images and predictions of ``pictures`` for the page."""
    methods = list(pictures.predicted)
    leading = leading_of(pictures.leading, pictures.predicted)
    cards = [0, methods.index(leading)] if leading else [0]
    return Gallery(tuple(shown_pictures(pictures)), tuple(methods), tuple(cards))


def shown_pictures(pictures: Pictures) -> list[Shown]:
    """Return the images of ``pictures`` ready for the page."""
    out = []
    named = [one_line_of(name, LONGEST) for name in pictures.classes]
    for n, image in enumerate(pictures.images):
        given, true = int(pictures.given[n]), int(pictures.true[n])
        labels = tuple(Label(named[c], _kind(c, given, true)) for c in (int(p[n]) for p in pictures.predicted.values()))
        names = named[given], named[true]
        out.append(Shown(_data_uri(image), f"labelled {names[0]}, shows {names[1]}", *names, labels))
    return out


def _kind(label: int, given: int, true: int) -> str:
    if given == true:
        return "true" if label == true else "other"
    return {given: "given", true: "true"}.get(label, "other")


def _data_uri(image: NDArray[np.uint8]) -> str:
    """Return ``image`` (C, H, W) as a PNG in a data URI, reduced to the maximum size of a page."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()

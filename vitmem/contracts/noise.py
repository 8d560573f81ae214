"""The contract of a noise plug-in, run on random images, for ``vitmem check noise``."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from vitmem.contracts.base import Check, require, run_clause
from vitmem.entries import Noise
from vitmem.noise.base import NoiseContext, NoisyLabels, make
from vitmem.noise.pixels import Pixels
from vitmem.registry import NOISES

COUNT, CLASSES = 2000, 10
# Files in the data folder of the check: class probabilities and labels of all its images.
PROBABILITIES, LABELS = "probabilities.safetensors", "labels.csv"


@dataclass(frozen=True)
class NoiseUnderTest:
    """A noise model with its parameters, and the images of the check with their true labels ``clean`` (n,)."""

    noise: Noise
    clean: np.ndarray
    context: NoiseContext

    def labels(self, seed: int = 0, rows: np.ndarray | None = None, **changes: Any) -> NoisyLabels:
        """Draw the labels of the images ``rows`` (m,), or of all, with ``changes`` of the parameters."""
        noise = self.noise.parse({**self.noise.model_dump(), **changes}, "check noise") if changes else self.noise
        clean, context = (self.clean, self.context) if rows is None else (self.clean[rows], self._part(rows))
        return make(noise, clean, context, seed)

    def _part(self, rows: np.ndarray) -> NoiseContext:
        known = self.context
        assert known.pixels is not None
        return replace(
            known,
            extra_labels={name: values[rows] for name, values in known.extra_labels.items()},
            pixels=replace(known.pixels, images=known.pixels.images[rows]),
            index=rows,
        )


def check_noise(name: str, params: Mapping[str, Any]) -> list[Check]:
    """Run the contract of the registered noise ``name`` on 2,000 random images (3, 8, 8) in 10 classes.

    They have superclasses of two classes, further labels in the column ``labels``, a fifth of them wrong, the same in
    the file ``labels.csv`` of the data folder, and class probabilities in ``probabilities.safetensors``. A clause that
    fails or raises is reported as broken, and the next one still runs; labels that cannot be drawn end the list. Raises
    InputError for an unknown name or parameter.
    """
    noise = NOISES.get(name).parse(params, "check noise")
    checks: list[Check] = []
    with tempfile.TemporaryDirectory() as folder:
        subject = NoiseUnderTest(noise, *_images(Path(folder)))
        run_clause("draws labels", subject.labels, checks)
        for clause, test in CLAUSES.items() if checks[0].ok else ():
            run_clause(clause, lambda test=test: test(subject), checks)  # type: ignore[misc]
    return checks


def _images(folder: Path) -> tuple[np.ndarray, NoiseContext]:
    """Return true labels (n,) and their context; writes the files to ``folder``."""
    rng = np.random.default_rng(0)
    clean = rng.permutation(np.arange(COUNT) % CLASSES)
    table = rng.dirichlet(np.ones(CLASSES), COUNT)
    save_file({"probabilities": table, "index": np.arange(COUNT)}, folder / PROBABILITIES)
    images = rng.integers(0, 256, (COUNT, 3, 8, 8), dtype=np.uint8)
    other = np.where(rng.random(COUNT) < 0.2, (clean + rng.integers(1, CLASSES, COUNT)) % CLASSES, clean)
    (folder / LABELS).write_text("label\n" + "".join(f"{label}\n" for label in other))
    context = NoiseContext(
        dataset="check",
        num_classes=CLASSES,
        coarse=np.arange(CLASSES) // 2,
        extra_labels={"labels": other},
        pixels=Pixels(images, np.full(3, 0.5), np.full(3, 0.29)),
        index=np.arange(COUNT),
        data_dir=folder,
        classes=tuple("abcdefghij"),
    )
    return clean, context


def _same_seed(subject: NoiseUnderTest) -> None:
    one = subject.labels(seed=1)
    random.random(), np.random.random(), torch.rand(1)  # a global generator somewhere else
    require(one.sha256 == subject.labels(seed=1).sha256, "two draws of one seed differ")


def _generators(subject: NoiseUnderTest) -> None:
    states = (random.getstate, lambda: repr(np.random.get_state(legacy=False)), lambda: torch.get_rng_state().tolist())
    before = [state() for state in states]
    subject.labels(seed=2)
    for name, state, old in zip(("Python", "numpy", "torch"), states, before, strict=True):
        require(state() == old, f"drawing labels changed the global generator of {name}; use the one that is given")


def _untouched(subject: NoiseUnderTest) -> None:
    known = subject.context
    assert known.pixels is not None
    arrays = {"images": np.asarray(known.pixels.images), "further labels": known.extra_labels["labels"]}
    before = {name: values.copy() for name, values in arrays.items()}
    subject.labels()
    for name, values in arrays.items():
        require(np.array_equal(values, before[name]), f"it wrote to the {name} that it was given")


def _rate_zero(subject: NoiseUnderTest) -> None:
    if subject.labels().nominal is not None:
        wrong = int(subject.labels(rate=0.0).changed.sum())
        require(wrong == 0, f"at rate 0, {wrong} of {COUNT} labels are wrong")


def _rate_is_a_bound(subject: NoiseUnderTest) -> None:
    labels = subject.labels()
    if labels.nominal is not None:
        most = labels.nominal + 5 * np.sqrt(labels.nominal * (1 - labels.nominal) / COUNT) + 1 / COUNT
        detail = f"at rate {labels.nominal:g}, {100 * labels.realised:.2f} % of the labels are wrong"
        require(labels.realised <= most, detail)


def _few_images(subject: NoiseUnderTest) -> None:
    for rows in (np.flatnonzero(subject.clean < CLASSES // 2), np.array([3])):
        labels = subject.labels(rows=rows)
        require(len(labels.given) == len(rows), f"of {len(rows)} images, {len(labels.given)} have a label")


CLAUSES: Mapping[str, Callable[[NoiseUnderTest], None]] = {
    "the same seed gives the same labels": _same_seed,
    "global generators are unchanged": _generators,
    "inputs are not modified": _untouched,
    "rate 0 leaves every label right": _rate_zero,
    "no more labels are wrong than the rate says": _rate_is_a_bound,
    "classes without images and a single image": _few_images,
}

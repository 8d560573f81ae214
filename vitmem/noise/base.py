"""Input and output of a noise model, and the checks on its output.

A noise model is ``f(clean, context, rng, *, params...) -> given``: it draws the labels for training, (n,) int64, from
the true ones, (n,) int64. It reads ``clean`` and writes to a copy, so that no label is flipped twice. A model whose
chosen images may keep their true label returns ``(given, chosen)`` with ``chosen`` (n,) bool.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from vitmem.entries import Noise
from vitmem.errors import InputError, VitmemError
from vitmem.files import expand
from vitmem.noise.pixels import Pixels

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rate = Annotated[float, Field(ge=0, le=1, description="share of the images whose label is drawn anew")]
# Whether the number of chosen images is exact in every class, not only in total; an id leaves ``false`` out.
Stratified = Annotated[bool | None, BeforeValidator(lambda value: None if value is False else value)]


@dataclass(frozen=True)
class NoiseContext:
    """The information about the dataset available to a noise model, besides the true labels.

    ``coarse`` is the superclass of each class, (K,), if there are superclasses; ``extra_labels`` are further labels of
    the same n images by name, each (n,); ``pixels`` the images; ``index`` their positions in the original set, (n,);
    ``data_dir`` the user's data folder; ``classes`` the names of the classes, (K,). The original set has ``total``
    images (``None``: unknown), and ``files`` are their names below the folder of the classes, (total,) UTF-8, if it is
    a folder.
    """

    dataset: str
    num_classes: int
    coarse: NDArray[np.integer] | None = None
    extra_labels: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    pixels: Pixels | None = None
    index: NDArray[np.integer] | None = None
    data_dir: Path | None = None
    classes: tuple[str, ...] = ()
    total: int | None = None
    files: NDArray[np.bytes_] | None = None

    def find(self, file: str) -> Path:
        """Return the path of ``file``, relative to the data folder or absolute; it need not exist."""
        inside = None if self.data_dir is None else self.data_dir / file
        return inside if inside is not None and os.path.exists(inside) else expand(file)


@dataclass(frozen=True)
class NoisyLabels:
    """Given and true labels, and the realised noise.

    ``given``, ``clean``: (n,) int64; ``changed``: (n,) bool, given differs from clean; ``chosen``: (n,) bool, the noise
    drew a label for the image, possibly the true one. ``nominal`` is the requested rate (``None`` for noise without a
    rate), ``realised`` the share of wrong labels, ``realised_per_class`` the same within each true class, (K,), 0 for
    an empty class. ``transition[i, j]`` is the share of true class i with given label j, (K, K): rows sum to 1; an
    empty class has the row of the identity. ``sha256`` is that of the given labels as little-endian int16.
    """

    given: Labels
    clean: Labels
    changed: Mask
    chosen: Mask
    nominal: float | None
    realised: float
    realised_per_class: NDArray[np.float64]
    transition: NDArray[np.float64]
    sha256: str

    def summary(self) -> dict[str, Any]:
        """Return the rates, the matrix rounded to six digits and the digest, as plain JSON types."""
        return {
            "nominal": self.nominal,
            "realised": self.realised,
            "transition": self.transition.round(6).tolist(),
            "sha256": self.sha256,
        }


def make(noise: Noise, clean: NDArray[np.integer], context: NoiseContext, seed: int) -> NoisyLabels:
    """Draw the given labels of ``noise`` for the true labels ``clean`` (n,).

    Equal noise, labels and seed give equal labels. Raises InputError for labels outside the classes, VitmemError when
    the model returns labels of the wrong length or outside the classes, or a mask of chosen images that misses changed
    ones.
    """
    clean = _checked("true labels", clean, len(clean), context.num_classes, InputError)
    drawn = noise.draw(clean.copy(), context, np.random.default_rng(seed))
    given, chosen = drawn if isinstance(drawn, tuple) else (drawn, None)
    given = _checked(f"labels of noise '{noise.name}'", given, len(clean), context.num_classes, VitmemError)
    changed = given != clean
    chosen = changed if chosen is None else np.asarray(chosen)
    if chosen.shape != changed.shape or chosen.dtype != np.bool_ or (changed & ~chosen).any():
        raise VitmemError(
            f"noise '{noise.name}': expected a mask of {len(clean)} images that includes every changed one"
        )
    return described(given, clean, chosen, context.num_classes, getattr(noise, "rate", None))


def described(
    given: Labels, clean: Labels, chosen: Mask, num_classes: int, nominal: float | None = None
) -> NoisyLabels:
    """Return the labels ``given`` and ``clean`` and the mask ``chosen``, (n,) each, with their rates."""
    changed = given != clean
    transition = transition_matrix(clean, given, num_classes)
    return NoisyLabels(
        given=given,
        clean=clean,
        changed=changed,
        chosen=chosen,
        nominal=nominal,
        realised=float(changed.mean()) if len(clean) else 0.0,
        realised_per_class=1.0 - np.diagonal(transition),
        transition=transition,
        sha256=hashlib.sha256(given.astype("<i2").tobytes()).hexdigest(),
    )


def transition_matrix(clean: Labels, given: Labels, num_classes: int) -> NDArray[np.float64]:
    """Return T (K, K) with T[i, j] the share of true class i with given label j."""
    pairs = np.bincount(clean * num_classes + given, minlength=num_classes**2)
    counts = pairs.reshape(num_classes, num_classes).astype(np.float64)  # (true, given)
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(num_classes))


def _checked(what: str, labels: NDArray[np.integer], length: int, num_classes: int, error: type[VitmemError]) -> Labels:
    """Return ``labels`` as int64; raises ``error`` unless they are whole numbers in [0, num_classes), (length,)."""
    labels = np.asarray(labels)
    if labels.shape != (length,):
        raise error(f"{what}: expected {length} of them, one per image, got an array of shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise error(f"{what}: expected whole numbers, got {labels.dtype}")
    if length and (labels.min() < 0 or labels.max() >= num_classes):
        got = f"{labels.min()} to {labels.max()}"
        raise error(f"{what}: expected classes 0 to {num_classes - 1}, got {got}")
    return labels.astype(np.int64)

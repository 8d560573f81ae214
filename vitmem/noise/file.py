"""Labels of one's own for the training images, from a file."""

from __future__ import annotations

import numpy as np

from vitmem.contents import FilePath
from vitmem.noise.base import Labels, NoiseContext
from vitmem.noise.label_file import read_labels
from vitmem.registry import NOISES


@NOISES.register("file", summary="labels of one's own for the training images, from a CSV or npz file")
def file(
    clean: Labels, context: NoiseContext, rng: np.random.Generator, *, path: FilePath, key: str | None = None
) -> Labels:
    """Return the labels in the column ``key`` of the file ``path``, (n,); ``None`` is the only column of labels.

    Row i has the label of image i of the original training set, or of the image that the column ``file`` names or whose
    position the column ``index`` has. Raises InputError for a file that does not fit, see ``read_labels``.
    """
    index = np.arange(len(clean)) if context.index is None else np.asarray(context.index)
    return read_labels(context.find(path), key, index, context, "noise 'file'")

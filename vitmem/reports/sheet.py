"""A sheet of images with their given and true labels. Imports matplotlib, not torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitmem.errors import InputError, one_line
from vitmem.files import write_whole, writing
from vitmem.reports.escape import one_line_of

COLUMNS = 8
CELL = 1.7  # height in inches: the picture and two lines of text
LONGEST = 50  # maximum length of a class name
RIGHT, WRONG = "#009E73", "#D55E00"


def write_sheet(path: Path, images: NDArray[np.uint8], given: Sequence[str], true: Sequence[str], title: str) -> None:
    """Draw ``images`` (m, C, H, W), each with its given label above its true one, and write them to ``path``.

    Raises InputError when the suffix is not an image format or the file cannot be written.
    """
    rows = max(1, -(-len(images) // COLUMNS))
    height = CELL * rows + 0.35
    figure = Figure(figsize=(1.35 * COLUMNS, height))
    # fixed positions: solving a layout takes seconds for so many axes
    spaces = {"left": 0.01, "right": 0.99, "bottom": 0.05 / height, "top": 1 - 0.7 / height}
    panels = list(figure.subplots(rows, COLUMNS, squeeze=False, gridspec_kw={**spaces, "hspace": 0.33}).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, pixels, label, truth in zip(panels, images, given, true, strict=False):
        # one channel is grey; a cell has about fifty screen pixels for each of CIFAR's 32
        picture = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        colour = RIGHT if label == truth else WRONG
        # a dollar in a class name is a dollar, not a formula
        text: Any = {"parse_math": False, "fontsize": 8, "color": colour, "pad": 11}
        axes.set_title(one_line_of(label, LONGEST), **text)
        below: Any = {"transform": axes.transAxes, "ha": "center", "va": "bottom", "fontsize": 6.5, "parse_math": False}
        axes.text(0.5, 1.02, f"true: {one_line_of(truth, LONGEST)}", **below)
    figure.suptitle(one_line_of(title), fontsize=10, y=1 - 0.1 / height, va="top", parse_math=False)
    try:
        with writing(path):
            write_whole(path, lambda temporary: figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=120))
    except ValueError as error:
        raise InputError(f"{path}: cannot write the sheet ({one_line(error)}); give a path such as sheet.png") from None

"""
Label noise, drawn and shown
============================

A noise model gives labels to images; the same seed gives the same labels as in a suite. These are three models at the
same rate on scikit-learn's digits: their transition matrices, and some images that one of them mislabels.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vitmem.data.noisy import add_noise
from vitmem.registry import DATA, NOISES

data = DATA.get("digits")().load(None, Path("."))
models = {
    "symmetric": NOISES.get("symmetric")(rate=0.3),
    "pair": NOISES.get("pair")(rate=0.3),
    "instance_dependent": NOISES.get("instance_dependent")(rate=0.3),
}
noisy = {name: add_noise(data, noise, seed=0) for name, noise in models.items()}
for name, found in noisy.items():
    print(f"{name}: {float(found.noisy.float().mean()):.1%} of {len(found.given)} labels are wrong")

# %%
# Rows are true classes, columns given ones. ``pair`` knows one wrong class, ``symmetric`` all of them alike, and
# ``instance_dependent`` prefers some, which depend on the image.
figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for panel, (name, found) in zip(panels, noisy.items(), strict=True):
    matrix = np.zeros((10, 10))
    np.add.at(matrix, (found.true.numpy(), found.given.numpy()), 1)
    panel.imshow(matrix / matrix.sum(1, keepdims=True), vmin=0, vmax=0.4, cmap="magma")
    panel.set(title=name, xlabel="given", ylabel="true", xticks=range(10), yticks=range(10))

# %%
# Some images with the label that they were given. ``vitmem noise`` writes such a sheet for any data set.
found = noisy["instance_dependent"]
figure, panels = plt.subplots(2, 6, figsize=(8, 3.4), layout="constrained")
for panel, row in zip(panels.flat, found.noisy.nonzero().flatten().tolist(), strict=False):
    panel.imshow(data.train.images[row, 0], cmap="gray_r")
    panel.set_title(f"{int(found.true[row])}, given {int(found.given[row])}", fontsize=9)
    panel.axis("off")

"""
Which images are memorized, and which come back
===============================================

The images behind ``memorized`` and ``recovered``: what a network recites, and what it says after the edit. One seed of
a small network on scikit-learn's digits, trained here in seconds through vitmem's own parts.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.data.noisy import add_noise
from vitmem.edits.base import EditContext
from vitmem.edits.kfac_input import KfacInput
from vitmem.kfac import edited, fit
from vitmem.models.base import ImageShape
from vitmem.registry import DATA, MODELS, NOISES

torch.manual_seed(0)
digits = add_noise(DATA.get("digits")().load(None, Path(".")), NOISES.get("symmetric")(rate=0.1), seed=0)
images = (digits.data.train.images / 255 - digits.data.mean.view(1, -1, 1, 1)) / digits.data.std.view(1, -1, 1, 1)

# %%
# A registered model says itself which layers may be edited.
model = MODELS.get("residual_mlp")(width=128, hidden=256).build(ImageShape(1, 8, 10))
net = model.net
layers = {
    path: layer for path, layer in net.named_modules() if isinstance(layer, nn.Linear) and path.startswith("blocks")
}
print(*layers)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
for _ in range(60):
    for rows in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images[rows]), digits.given[rows]).backward()
        optimizer.step()
net.eval()

# %%
# Predictions on the wrongly labelled images, before and after.
rows = digits.noisy.nonzero().flatten()
task = VisionTask(positions=model.positions, prefix_tokens=model.prefix_tokens)
factors = fit(net, layers, task, [(images, digits.given)], seed=0)
result = KfacInput(fraction=0.15).edit(EditContext(net, layers, factors, seed=0))
with torch.no_grad():
    before = net(images[rows]).argmax(1)
    with edited(net, result.weights):
        after = net(images[rows]).argmax(1)
given, true = digits.given[rows], digits.true[rows]
print(f"recited before {int((before == given).sum())}, after {int((after == given).sum())} of {len(rows)}")
print(f"right before {int((before == true).sum())}, after {int((after == true).sum())}")

# %%
# Above: recited before the edit, right after it. Below: recited after the edit too, as far as there are any.
back, stays = (before == given) & (after == true), after == given
figure, panels = plt.subplots(2, 8, figsize=(9, 3), layout="constrained")
for line, chosen in zip(panels, (back, stays), strict=True):
    for panel in line:
        panel.axis("off")
    for panel, n in zip(line, chosen.nonzero().flatten().tolist(), strict=False):
        panel.imshow(digits.data.train.images[rows[n], 0], cmap="gray_r")
        panel.set_title(f"{int(given[n])} → {int(after[n])}", fontsize=9)

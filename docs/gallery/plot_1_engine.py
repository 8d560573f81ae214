"""
Edit a network with the engine alone
====================================

A small network learns digits of which a tenth are wrongly labelled. The engine collects statistics without any label,
and each matrix is projected on the directions that its inputs use most. No suite, no store: a model, its layers by
path, and a task.
"""

# %%
# The digits of scikit-learn, and a noise model that gives 10 % of the training images another class.
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.data.noisy import add_noise
from vitmem.edits.base import EditContext
from vitmem.edits.kfac_input import KfacInput
from vitmem.edits.uniform_scaling import UniformScaling
from vitmem.kfac import edited, find_layers, fit
from vitmem.registry import DATA, NOISES

torch.manual_seed(0)
digits = add_noise(DATA.get("digits")().load(None, Path(".")), NOISES.get("symmetric")(rate=0.1), seed=0)
train, validation = digits.data.train.images / 255, digits.data.validation.images / 255
wrong = digits.noisy
print(f"{len(train)} images, {int(wrong.sum())} of them with a wrong label")

# %%
# Train until the wrong labels are known by heart.
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
for _ in range(120):
    for rows in torch.randperm(len(train)).split(128):
        loss = nn.functional.cross_entropy(net(train[rows]), digits.given[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def measure() -> tuple[float, float, float]:
    """Return memorized, recovered and validation, in per cent."""
    net.eval()
    predicted = net(train[wrong]).argmax(1)
    right = net(validation).argmax(1) == digits.data.validation.labels
    shares = predicted == digits.given[wrong], predicted == digits.true[wrong], right
    return tuple(100 * float(share.float().mean()) for share in shares)


print("before: memorized {:.1f}, recovered {:.1f}, validation {:.1f}".format(*measure()))

# %%
# One pass over the images collects A and G of two layers. The labels of the pass are drawn from the network, those of
# the batch are not read.
layers = find_layers(net, ["1", "3"])
factors = fit(net, layers, VisionTask(positions="all", prefix_tokens=0), [(train, digits.given)], seed=0)
context = EditContext(net, layers, factors, seed=0)

# %%
# Edit at several strengths. Inside ``edited`` the network has the new weights, afterwards every bit of the old ones.
curves = {}
for name, edits in {
    "K-FAC, input side": [KfacInput(fraction=f) for f in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)],
    "uniform scaling": [UniformScaling(factor=f) for f in (0.2, 0.3, 0.4, 0.5, 0.7, 0.9)],
}.items():
    curves[name] = []
    for edit in edits:
        with edited(net, edit.edit(context).weights):
            curves[name].append(measure())
print("after:  memorized {:.1f}, recovered {:.1f}, validation {:.1f}".format(*curves["K-FAC, input side"][2]))

# %%
# Down is less memorized, right is more accurate. One seed of a tiny network: :doc:`/generated/results` has the measured
# ones.
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name, points in curves.items():
    memorized, _, accuracy = zip(*points, strict=True)
    axes.plot(accuracy, memorized, "o-", label=name)
memorized, _, accuracy = measure()
axes.plot(accuracy, memorized, "k*", markersize=12, label="unedited")
axes.set(xlabel="validation, %", ylabel="memorized, %", xlim=(max(0, accuracy - 25), None))
axes.legend()

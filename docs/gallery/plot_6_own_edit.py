"""
An edit of your own
===================

An edit is a registered function. This one shrinks each singular value by the same amount, instead of cutting the small
ones off as ``svd`` does, and runs through the same engine and measures as every other.
"""

import logging
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import vitmem
from vitmem.edits.base import EditContext, EditResult
from vitmem.kfac.edit import replaced
from vitmem.registry import EDITS


@EDITS.register("soft_svd", version=1, summary="every singular value less a share of the largest", uses="data-free")
def soft_svd(context: EditContext, *, share: float = 0.1) -> EditResult:
    """Return W with each singular value lowered by ``share`` of the largest one, at least to 0."""
    result = EditResult()
    for path in context.layers:
        old = context.weight(path)
        u, s, vt = torch.linalg.svd(old.double(), full_matrices=False)
        less = (s - share * s[0]).clamp_min(0)
        new = ((u * less) @ vt).to(old.dtype)
        energy = float(less.square().sum() / s.square().sum())
        result.weights[path], result.reports[path] = new, replaced(old, new, int((less > 0).sum()), len(s), energy)
    return result


# %%
# A suite names it like any other; it goes through training, edit, measures and tables.
logging.getLogger("vitmem").setLevel(logging.WARNING)
folder = Path(tempfile.mkdtemp())
(folder / "soft.yaml").write_text("""
name: soft
seeds: [0]
data: {name: digits}
noise: {name: symmetric, rate: 0.1}
model: {name: residual_mlp, width: 64, hidden: 128}
recipe: {epochs: 30, batch_size: 64, precision: "32"}
edits:
  - {method: none}
  - {method: soft_svd, blocks: all, share: [0.05, 0.1, 0.15, 0.2, 0.3]}
  - {method: svd, blocks: all, rank_fraction: [0.1, 0.2, 0.3, 0.5]}
  - {method: kfac_input, blocks: all, fraction: [0.1, 0.2, 0.3, 0.4]}
""")
outcome = vitmem.run(
    folder / "soft.yaml", results=folder / "results", store=folder / "store", cache_dir=folder / "cache", device="cpu"
)
print(f"{outcome.made} rows made, {outcome.failed} failed")

# %%
# One seed, so no interval: this shows that it works, not that it is good.
rows = vitmem.load_rows("soft", results=folder / "results")
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for method, points in rows.groupby("config.edit.method"):
    points = points.sort_values("metrics.memorized")
    marker = "k*" if method == "none" else "o-"
    axes.plot(100 * points["metrics.validation"], 100 * points["metrics.memorized"], marker, label=method)
axes.set(xlabel="validation, %", ylabel="memorized, %")
axes.legend()

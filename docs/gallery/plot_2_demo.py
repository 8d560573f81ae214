"""
The demo's curve from its rows
==============================

Rows are a pandas frame, one row a cell. This draws what every setting of the demo leaves memorized against its
accuracy, from the committed rows: three seeds, on a processor.
"""

import matplotlib.pyplot as plt

import vitmem

rows = vitmem.load_rows("demo", results="../../results")
print(f"{len(rows)} rows, {rows['config.seed'].nunique()} seeds, device {rows['environment.device'].unique()[0]}")

# %%
# A setting is a method with its parameters; the mean over the seeds is one point.
settings = [name for name in rows.columns if name.startswith("config.edit.")]
measures = ["metrics.memorized", "metrics.recovered", "metrics.validation"]
means = rows.groupby(["config.model.name", *settings], dropna=False)[measures].mean().mul(100).reset_index()
means.sort_values("metrics.memorized").groupby("config.edit.method").head(1)[["config.edit.method", *measures]].round(1)

# %%
# Where two curves cross no setting of the other, one method is better at every accuracy.
figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for panel, (model, found) in zip(panels, means.groupby("config.model.name"), strict=True):
    for method, points in found.groupby("config.edit.method"):
        points = points.sort_values("metrics.memorized")
        marker = "k*" if method == "none" else "o-"
        panel.plot(points["metrics.validation"], points["metrics.memorized"], marker, label=method, markersize=5)
    panel.set(title=model, xlabel="validation, %", xlim=(70, None))
panels[0].set_ylabel("memorized, %")
panels[0].legend(fontsize=8)

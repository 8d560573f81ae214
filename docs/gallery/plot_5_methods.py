"""
Compare methods with pandas
===========================

The committed rows of ``methods_cifar10_small`` have 32 methods on 3,000 CIFAR-10 images with 10 % wrong labels: one
network, three seeds, on a processor. The strength of each is chosen on the selection half, and reported on the other.
"""

import matplotlib.pyplot as plt

import vitmem

rows = vitmem.load_rows("methods_cifar10_small", results="../../results")
rows = rows[rows["config.oracle"].isna()]
parameters = [name for name in rows.columns if name.startswith("config.edit.")]
keys = ["config.edit.method", "edit.information", *(name for name in parameters if name != "config.edit.method")]
keys += [name for name in rows.columns if name.startswith("config.statistics.")]
measures = [f"{half}.{name}" for half in ("selection", "metrics") for name in ("memorized", "recovered", "validation")]

# %%
# Lists cannot be grouped by; as texts they can.
found = rows.assign(**{key: rows[key].astype(str) for key in keys}).groupby(keys, dropna=False)[measures].mean() * 100
base = found.xs("none", level="config.edit.method").iloc[0]

# %%
# At no loss: the setting of each method that forgets most among those that lose no selection accuracy.
lossless = found[found["selection.validation"] >= base["selection.validation"] - 1e-9]
best = lossless.sort_values("selection.memorized").groupby(level="config.edit.method").head(1)
best = best.reset_index()[["config.edit.method", "edit.information", *measures[3:]]]
best = best[best["config.edit.method"] != "none"].sort_values("metrics.memorized").round(1)
best.head(12)

# %%
# What a method is told matters more than how it works: compare within one colour.
figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
for information, points in best.groupby("edit.information"):
    axes.scatter(points["metrics.memorized"], points["metrics.recovered"], label=information)
for _, row in best.iterrows():
    place = row["metrics.memorized"], row["metrics.recovered"]
    axes.annotate(row["config.edit.method"], place, fontsize=7, xytext=(3, 2), textcoords="offset points")
axes.plot(base["metrics.memorized"], base["metrics.recovered"], "k*", markersize=12, label="unedited")
axes.set(xlabel="memorized, %", ylabel="recovered, %")
axes.legend(fontsize=8)

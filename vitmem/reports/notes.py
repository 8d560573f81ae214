"""Notes under a table: reference lines, the gate, the rule, cells, devices and versions. Does not import torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from statsmodels.stats.proportion import proportion_confint

from vitmem.contents import shown_file
from vitmem.reports.aggregate import Training, at
from vitmem.reports.choose import GATE, judged
from vitmem.reports.naming import Names
from vitmem.reports.render import counted, fixed
from vitmem.rows import Row

INTERVAL = (
    "mean ± half-width of the 95 % t interval over the seeds, in percent; two seeds (n=2) have both values instead of "
    "an interval; one seed has none"
)
ORACLE = (
    "retrained without noisy, true labels, early stopped: trainings of their own by the recipe and with the seeds of "
    "the base, measured on the same images; they know which labels are wrong, or which epoch is best on the selection "
    "half, and nothing is chosen among them"
)
# Above this number, noises are listed by name only, and trainings are summarised.
FEW = 3
PACKAGES = ("python", "torch", "torchvision", "timm", "lightning", "vitmem")


def describe(suite: str, rows: Sequence[Row]) -> str:
    """Return the sentence above a table: the suite, its data and its noise with the realised rates."""
    finished = [row for row in rows if row["status"] == "ok"]
    data = sorted({data_name(row["config"]["data"]) for row in rows})
    noise = sorted({_noise(row["config"]["noise"]) for row in rows})
    if len(noise) > FEW:
        noise = sorted({str(row["config"]["noise"]["name"]) for row in rows})
    counts = [row["counts"]["train"] for row in finished if "train" in row.get("counts", {})]
    rates = [row["noise"]["realised"] for row in finished if "realised" in row.get("noise", {})]
    unit = "rows of text" if any("strings" in row.get("counts", {}) for row in finished) else "images"
    images = f", {span([float(c) for c in counts], ',.0f')} training {unit}" if counts else ""
    realised = f" (realised {span([100 * r for r in rates], '.2f')} %)" if rates else ""
    noisy = "" if noise == ["none"] else f", noise {' and '.join(noise)}{realised}"
    return f"{suite}: {' and '.join(data)}{images}{noisy}."


def data_name(config: Mapping[str, object]) -> str:
    """Return the name of a dataset; for a folder, the folder's name, and on the Hub, its name there."""
    if config["name"] == "hub" and str(config["path"])[0] not in "/~.":
        return str(config["path"])
    place = {"image_folder": "folder", "hub": "path"}.get(str(config["name"]))
    return str(config["name"]) if place is None else PurePath(str(config[place])).name


def _noise(config: Mapping[str, object]) -> str:
    """Return name, rate and other parameters of a noise; for a matrix, its size, and for a file, its name."""
    parts = [str(config["name"]), *(str(config[key]) for key in ("rate",) if key in config)]
    for key, value in sorted(config.items()):
        if key not in ("name", "rate"):
            parts.append(f"{key} {_size(value) or shown_file(value)}")
    return " ".join(parts)


def _size(value: object) -> str:
    """Return the size of rows of numbers; empty for other values."""
    rows = value if isinstance(value, list | tuple) else []
    return f"{len(rows)}x{len(rows[0])}" if rows and isinstance(rows[0], list | tuple) else ""


def span(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the smallest and the largest of ``values`` as a text; one text if they are equal."""
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def reference_lines(trainings: Sequence[Training], names: Names) -> list[str]:
    """Return the scores of each training's unedited model on noisy images that it had never seen.

    Many trainings are summarised in one line with the lowest and the highest.
    """
    reads = [at("metrics", f"reference_{name}") for name in ("memorized", "recovered")]
    scores: dict[str, list[float]] = {}
    for training in trainings:
        values = [None if training.base is None else training.base.estimate(read) for read in reads]
        if all(value is not None for value in values):
            scores[names.training(training)] = [100 * value.mean for value in values if value is not None]
    intro = "with the accuracy of its base, a model that never saw the wrongly labelled images has memorized"
    if len(scores) <= FEW:
        return [f"{name}: {intro} {fixed(m, 1)}, recovered {fixed(r, 1)}" for name, (m, r) in scores.items()]
    memorized, recovered = zip(*scores.values(), strict=True)
    return [f"{intro} {span(memorized, '.1f')}, recovered {span(recovered, '.1f')}"]


def recipe_lines(trainings: Sequence[Training], names: Names) -> list[str]:
    """Return the differences between the recipes, if each model has its own."""
    recipes = {names.training(training): names.recipe(training) for training in trainings}
    return [f"{name}: recipe {recipe}" for name, recipe in recipes.items() if recipe]


def average_lines(trainings: Sequence[Training], names: Names) -> list[str]:
    """Return a line for each training whose weights are an exponential moving average."""
    decays = {names.training(training): training.config.get("recipe", {}).get("ema") for training in trainings}
    return [
        f"{name}: measured and edited with the exponential moving average of its weights, decay {decay:g} in each step"
        for name, decay in decays.items()
        if decay is not None
    ]


def oracle_lines(trainings: Sequence[Training], names: Names) -> list[str]:
    """Return the definitions of the oracles, if any, and the epochs at which early stopped ones ended."""
    lines = [ORACLE] if any(t.oracles for t in trainings) else []
    for training in trainings:
        epochs = [e for g in training.oracles for e in g.values(at("stopped", "epoch")).values()]
        if epochs:
            lines.append(f"{names.training(training)}: stopped early after epoch {span(epochs, '.0f')}")
    return lines


def gate_lines(trainings: Sequence[Training], names: Names) -> list[str]:
    """Return a line for each training that cannot be judged: no base, or one that memorizes too little."""
    lines = []
    for training in trainings:
        name = names.training(training)
        if training.base is not None and not judged(training.base):
            continue
        base = training.base.estimate(at("metrics", "memorized")) if training.base else None
        if training.base is None:
            lines.append(f"{name}: no finished cell of the unedited model, so nothing is chosen")
        elif base is not None and base.mean < GATE:
            lines.append(
                f"{name}: nothing to remove: the base memorizes {fixed(100 * base.mean, 1)} % of what it was "
                f"given to memorize, the gate is {100 * GATE:g} %"
            )
    return lines


# Counts on the reporting halves, and the measures that are shares of them.
REPORTED = {
    "noisy_report": "memorized and recovered",
    "validation_report": "validation",
    "famous_report": "memorized",
    "control_report": "control recited",
    "strings_report": "memorized",
    "windows_report": "memorized",
}


def item_lines(rows: Sequence[Row]) -> list[str]:
    """Return the sampling error over the items of a single seed, which has no interval between seeds."""
    finished = [row["counts"] for row in rows if row["status"] == "ok" and REPORTED.keys() & row.get("counts", {})]
    if not finished or len({row["config"]["seed"] for row in rows}) > 1:
        return []
    parts = [
        f"at most ±{50 * _wilson(min(c[key] for c in finished)):.1f} points for {measures}"
        for key, measures in REPORTED.items()
        if all(c.get(key) for c in finished)  # without noise there is no wrong label to count
    ]
    items = "images" if "noisy_report" in finished[0] else "items"
    if not parts:
        return []
    return [f"95 % Wilson intervals over the reported {items} of the one model: {', '.join(parts)}"]


def _wilson(n: int) -> float:
    """Return the width of the 95 % Wilson interval of a share of n images at its widest (one half)."""
    low, high = proportion_confint(n / 2, n, method="wilson")
    return float(high - low)


def provenance(rows: Sequence[Row]) -> list[str]:
    """Return seeds, counts of cells by status, and the devices and versions that made the rows."""
    statuses = Counter(row["status"] for row in rows)
    seeds = sorted({row["config"]["seed"] for row in rows})
    shown = ", ".join(str(s) for s in seeds)
    lines = [
        f"{counted(len(seeds), 'seed')} ({shown}); {counted(len(rows), 'cell')}: "
        f"{statuses['ok']} finished, {statuses['failed']} failed"
    ]
    machines = Counter(_machine(row["environment"]) for row in rows if row.get("environment"))
    lines += [f"{counted(count, 'cell')} on {machine}" for machine, count in sorted(machines.items())]
    trainings = {row["ids"]["training"]: row["environments"]["training"] for row in rows if _trained_elsewhere(row)}
    machines = Counter(_machine(environment) for environment in trainings.values())
    lines += [f"{counted(count, 'training')} on {machine}" for machine, count in sorted(machines.items())]
    return lines


def _trained_elsewhere(row: Row) -> bool:
    training = row.get("environments", {}).get("training")
    if training is None or training == row["environment"]:
        return False
    return _machine(training) != _machine(row["environment"])


def _machine(environment: dict[str, object]) -> str:
    device, name = environment.get("device"), environment.get("device_name")
    count = environment.get("threads") if device == "cpu" else None
    threads = f", {counted(count, 'thread')}" if isinstance(count, int) else ""
    made = versions(environment)
    return f"{device} ({name}{threads}); {made}" if name else f"{device}{threads}; {made}"


def versions(environment: Mapping[str, object]) -> str:
    """Return the versions of Python and the packages that made a row."""
    return ", ".join(f"{p} {environment[p]}" for p in PACKAGES if environment.get(p))

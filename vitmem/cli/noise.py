"""``vitmem noise``: draw the labels of a noise model and show their error rates, with example images."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from vitmem.bench.cells import ChosenData, ChosenNoise, DataShared, NoiseShared
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import resolve
from vitmem.bench.suite_checks import check_noise
from vitmem.cli.options import CacheDir, DataDir, Json, Plugin, key_values, yaml_value
from vitmem.contents import shown_file
from vitmem.errors import InputError
from vitmem.reports.sheet import write_sheet

if TYPE_CHECKING:
    from vitmem.data.noisy import NoisyImages

SHOWN = 48
# Largest number of classes with a printed matrix; beyond, each class has its three likeliest wrong labels.
WIDEST = 12


def noise(
    name: Annotated[str, typer.Argument(help="a noise model of 'vitmem list noises', such as symmetric")],
    data: Annotated[str, typer.Option(help="images: a name, or a mapping as in a suite")] = "mnist5k",
    data_dir: DataDir = None,
    rate: Annotated[float | None, typer.Option(help="the rate, for a noise model with one")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, a parameter; may be repeated")] = None,
    sheet: Annotated[Path | None, typer.Option(help="write example images with both labels to this PNG")] = None,
    seed: Annotated[int, typer.Option(help="the seed of the suite's cell")] = 0,
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Show the labels of a noise model: rates, transition matrix, hash, and images.

    Example: vitmem noise instance_dependent --data cifar10 --data-dir ~/data --rate 0.1 --sheet sheet.png

    Example: vitmem noise file --data '{name: image_folder, folder: pets}' --data-dir data --set path=labels.csv
    """
    from vitmem.bench.given_labels import noisy_images

    load_plugins(plugin or ())
    given = key_values(settings or (), "--set")
    for key in ({"name"} if rate is None else {"name", "rate"}) & set(given):
        raise InputError(f"--set: '{key}' is given already, by the {'argument' if key == 'name' else 'option --rate'}")
    given |= {"name": name} if rate is None else {"name": name, "rate": rate}
    model = resolve(given, NoiseShared, "parameters", data_dir)
    images = resolve(_data(data), DataShared, "--data", data_dir)
    check_noise(images, model, "--data")
    noisy = noisy_images(images, model, seed, data_dir, cache_dir)
    for remark in noisy.data.remarks:
        print(remark, file=sys.stderr)
    facts = _facts(noisy, model, images, seed)
    print(json.dumps(facts) if as_json else _text(noisy, facts))
    if sheet is not None:
        _write_sheet(noisy, sheet, _title(noisy, facts))
        if not as_json:
            print(f"wrote {sheet}")
    if not as_json:
        parameters = ", ".join(f"{key}: {_short(shown_file(value))}" for key, value in model.config.items())
        print(f"a suite names it as 'noise: {{{parameters}}}'")


def _data(text: str) -> dict[str, Any]:
    """Return the value of ``--data`` as a mapping of a suite; a name stands for ``{name: ...}``."""
    value = yaml_value(text, "--data")
    if not isinstance(value, str | dict):
        raise InputError(f"--data: expected a name or a mapping such as {{name: ...}}, got '{text}'")
    return value if isinstance(value, dict) else {"name": value}


def _facts(noisy: NoisyImages, model: ChosenNoise, images: ChosenData, seed: int) -> dict[str, Any]:
    labels = noisy.labels
    return {
        "noise": model.config,
        "version": model.entry.version,
        "data": images.config,
        "seed": seed,
        "images": len(labels.given),
        "chosen": int(labels.chosen.sum()),
        "wrong": int(labels.changed.sum()),
        "nominal": labels.nominal,
        "realised": labels.realised,
        "realised_per_class": labels.realised_per_class.tolist(),
        "transition": labels.transition.tolist(),
        "sha256": labels.sha256,
    }


def _title(noisy: NoisyImages, facts: dict[str, Any]) -> str:
    shown = " ".join(f"{k} {_short(shown_file(v))}" for k, v in facts["noise"].items() if k != "name")
    name = " ".join(part for part in (facts["noise"]["name"], shown) if part)
    return f"{name} on {noisy.data.name}: {facts['wrong']:,} of {facts['images']:,} labels wrong"


def _short(value: Any) -> str:
    return f"{len(value)}x{len(value)}" if isinstance(value, list) and len(str(value)) > 20 else str(value)


def _text(noisy: NoisyImages, facts: dict[str, Any]) -> str:
    nominal = "none" if facts["nominal"] is None else f"{100 * facts['nominal']:.2f} %"
    kept = facts["chosen"] - facts["wrong"]
    lines = [
        f"{_title(noisy, facts)}, seed {facts['seed']}",
        f"nominal {nominal}, realised {100 * facts['realised']:.2f} %"
        + (f"; {kept:,} of {facts['chosen']:,} chosen images keep their true label" if kept else ""),
        "",
        *_classes(noisy),
        "",
        f"sha256 {facts['sha256']} (version {facts['version']})",
    ]
    return "\n".join(lines)


def _classes(noisy: NoisyImages) -> list[str]:
    """Return a line per true class: images, share of wrong labels, and its row of the matrix in percent."""
    labels, names = noisy.labels, noisy.data.classes
    width = max(10, *map(len, names))
    counts = np.bincount(labels.clean, minlength=len(names))
    whole = len(names) <= WIDEST
    header = " ".join(f"{name[:6]:>6}" for name in names) if whole else "its likeliest wrong labels"
    lines = [f"{'true class':<{width}} images  wrong %   {header}"]
    for i, name in enumerate(names):
        row = 100 * labels.transition[i]
        shown = " ".join(f"{share:6.2f}" if share else f"{'.':>6}" for share in row) if whole else _top(row, i, names)
        lines.append(f"{name:<{width}} {counts[i]:6,}  {100 - row[i]:7.2f}   {shown}")
    return lines


def _top(row: np.ndarray, true: int, names: Sequence[str]) -> str:
    order = [j for j in np.argsort(-row, kind="stable") if j != true and row[j] > 0][:3]
    return ", ".join(f"{names[j]} {row[j]:.2f}" for j in order)


def _write_sheet(noisy: NoisyImages, path: Path, title: str) -> None:
    """Write a fixed random sample of images with wrong labels (or right ones, without any), sorted by true class."""
    labels, names = noisy.labels, noisy.data.classes
    rows = np.flatnonzero(labels.changed) if labels.changed.any() else np.arange(len(labels.given))
    some = np.random.default_rng(0).permutation(rows)[:SHOWN]
    some = some[np.argsort(labels.clean[some], kind="stable")]
    given, true = ([names[c] for c in which[some]] for which in (labels.given, labels.clean))
    images = noisy.data.train.images[some].numpy()
    write_sheet(path, images, given, true, f"{title} (given label above the true one)")

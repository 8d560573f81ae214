"""``vitmem fit``: the statistics of a language model on texts of one's own, or what they would cost."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vitmem.blocks import parse_blocks
from vitmem.errors import InputError, unknown
from vitmem.language.models.skeleton import skeleton_of
from vitmem.language.offline.estimate import DTYPES, Cost, cost_of, rate
from vitmem.language.offline.fit import fit_texts
from vitmem.language.offline.presets import PRESETS, FitSettings, Preset
from vitmem.training.fit import pick_device

LABELS, ROLES = ("sampled", "given"), ("gate", "up", "gate_up", "down")
# Tokens that are counted when none are asked for, and rows between two lines where there is no terminal.
SOME, EVERY = 1_000_000, 1000


def fit(
    model: str | None, text: Path | None, out: Path, preset: str | None, device: str, dry_run: bool, **options: Any
) -> None:
    """Collect and write the statistics, or print what that costs; options that are not given are the preset's."""
    if preset is not None and preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    known = PRESETS[preset] if preset is not None else None
    source = model or (known.source if known else None)
    if source is None:
        raise InputError("fit: expected a model (a folder or a name on the Hub) or --preset, got neither")
    settings = _settings(known, options)
    if dry_run:
        _print_cost(source, model is None, known, settings, pick_device(device))
        return
    if text is None:
        raise InputError("fit: expected --text, a file or a folder of .txt, .jsonl or .parquet files, got none")
    try:
        done = fit_texts(source, text, out, settings, pick_device(device), _Line())
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    print(f"{done.tokens:,} tokens in {done.rows:,} rows; layers: {', '.join(done.layers)}")
    print(f"wrote {out}")


def _settings(known: Preset | None, options: dict[str, Any]) -> FitSettings:
    """Return the settings of a preset, or the usual ones, with what was asked for; raises InputError for bad values."""
    given = {name: value for name, value in options.items() if value is not None}
    if "blocks" in given:
        given["blocks"] = parse_blocks(given["blocks"])
    if "roles" in given:
        given["roles"] = tuple(given["roles"].split(","))
    for name, names in (("roles", ROLES), ("dtype", tuple(DTYPES)), ("labels", LABELS)):
        value = given.get(name, ())
        for one in (value,) if isinstance(value, str) else value:
            if one not in names:
                raise unknown(name, one, names)
    if known is not None:
        return replace(known.settings, **given)
    if "blocks" not in given:
        raise InputError("fit: expected --blocks, such as 23-25 or last_half, or --preset, got neither")
    return FitSettings(**given)


class _Line:
    """How many rows are done and what is left: one line that is written over on a terminal, else one now and then."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.said = 0

    def __call__(self, done: int, total: int) -> None:
        passed = time.perf_counter() - self.started
        left = f", {passed / done * (total - done) / 60:.0f} min left" if done else ""
        text = f"{done:,} of {total:,} rows{left}"
        if sys.stderr.isatty():
            print(f"\r{text:<60}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif done == total or done - self.said >= EVERY:
            self.said = done
            print(text, file=sys.stderr, flush=True)


def _print_cost(source: str, shipped: bool, known: Preset | None, settings: FitSettings, device: torch.device) -> None:
    """Print the memory, operations and time of a run; the sizes of a preset's model come with it."""
    place = known.config if shipped and known is not None else source
    tokens = settings.tokens or SOME
    cost = cost_of(skeleton_of(place), settings, tokens // settings.length * settings.length)
    print(f"{source}: {cost.parameters:,} parameters, {_gb(cost.model_bytes)} in {settings.dtype}")
    for path, (p, q) in cost.shapes.items():
        print(f"  {path}  {p} x {q}: A {4e-6 * q * q:,.0f} MB, G {4e-6 * p * p:,.0f} MB in float32")
    _print_memory(cost)
    rows = cost.tokens // settings.length
    batches = -(-rows // settings.batch)
    print(f"text: {cost.tokens:,} tokens in {rows:,} rows of {settings.length}, {batches:,} batches")
    print(f"operations: {cost.model_operations:.2g} of the model, {cost.product_operations:.2g} of A and G in float32")
    seconds = cost.model_operations / rate(device, DTYPES[settings.dtype])
    seconds += cost.product_operations / rate(device, torch.float32)
    print(f"time on this machine ({device.type}), by its products measured now: about {seconds / 3600:,.1f} h")
    if known is not None:
        print(f"then: vitmem edit FOLDER --factors factors.safetensors --mass {known.mass} --out edited")


def _print_memory(cost: Cost) -> None:
    device, wide = cost.model_bytes + cost.factor_bytes, 2 * cost.factor_bytes
    print(
        f"on the device: {_gb(device)} for model and sums, beside activations; in memory: {_gb(2 * wide)} in float64, "
        f"sums and means; file: {_gb(wide)}"
    )


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"

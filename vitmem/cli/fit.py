"""``vitmem fit``: the statistics of a language model on the user's texts, or an estimate of their cost."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitmem.blocks import parse_blocks
from vitmem.cli.exits import INTERRUPTED
from vitmem.cli.options import Device
from vitmem.errors import InputError, unknown
from vitmem.lazy import torch
from vitmem.progress import bars

if TYPE_CHECKING:
    from vitmem.language.offline.estimate import Cost
    from vitmem.language.offline.presets import FitSettings, Preset

LABELS, ROLES = ("sampled", "given"), ("gate", "up", "gate_up", "down")
# Number of tokens in the estimate without --tokens.
SOME = 1_000_000


def fit(
    model: Annotated[str | None, typer.Argument(help="a folder that transformers loads, or a name on the Hub")] = None,
    text: Annotated[Path | None, typer.Option(help="a .txt, .jsonl or .parquet file, or a folder of them")] = None,
    blocks: Annotated[str | None, typer.Option(help="such as 23-25, 0,5 or last_half")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="largest number of tokens (default: all)")] = None,
    out: Annotated[Path, typer.Option(help="the file to write, which must not exist")] = Path("factors.safetensors"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the estimated cost without reading weights")
    ] = False,
    device: Device = "auto",
    preset: Annotated[str | None, typer.Option(help="a paper's settings: merullo2025-olmo2-7b")] = None,
    roles: Annotated[
        str | None, typer.Option(help="layers among gate, up, gate_up, down (default: all but down)")
    ] = None,
    length: Annotated[int | None, typer.Option(min=2, help="tokens per row (default: 512)")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="rows per batch (default: 8)")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16 (default), float16 or float32")] = None,
    labels: Annotated[str | None, typer.Option(help="sampled from the model (default), or given")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of the sampled labels (default: 0)")] = None,
) -> None:
    """Collect the statistics of a language model on your own texts, for 'vitmem edit'.

    Example: vitmem fit OLMo-2-1124-7B --text texts/ --blocks 23-25 --tokens 20000000 --out factors.safetensors
    """
    from vitmem.language.offline.fit import fit_texts
    from vitmem.language.offline.presets import PRESETS
    from vitmem.training.fit import pick_device

    if preset is not None and preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    known = PRESETS[preset] if preset is not None else None
    source = model or (known.source if known else None)
    if source is None:
        raise InputError("fit: expected a model (a folder or a name on the Hub) or --preset, got neither")
    settings = _settings(
        known,
        blocks=blocks,
        roles=roles,
        tokens=tokens,
        length=length,
        batch=batch,
        dtype=dtype,
        labels=labels,
        seed=seed,
    )
    if dry_run:
        _print_cost(source, model is None, known, settings, pick_device(device))
        return
    if text is None:
        raise InputError("fit: expected --text, a file or a folder of .txt, .jsonl or .parquet files, got none")
    try:
        with bars():
            done = fit_texts(source, text, out, settings, pick_device(device))
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(f"{done.tokens:,} tokens in {done.rows:,} rows; layers: {', '.join(done.layers)}")
    mass = known.mass if known is not None else 0.6
    print(f"wrote {out}; edit a model's folder by it: vitmem edit FOLDER --factors {out} --mass {mass} --out edited")


def _settings(known: Preset | None, **options: Any) -> FitSettings:
    """Return the settings of a preset, or the defaults, updated by ``options``; raises InputError for bad values."""
    from vitmem.language.offline.estimate import DTYPES
    from vitmem.language.offline.presets import FitSettings

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


def _print_cost(source: str, shipped: bool, known: Preset | None, settings: FitSettings, device: torch.device) -> None:
    """Print the memory, operations and time of a run; a preset includes the sizes of its model."""
    from vitmem.language.models.skeleton import skeleton_of
    from vitmem.language.offline.estimate import DTYPES, cost_of, rate

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
    print(f"time on this machine ({device.type}), from its measured matrix products: about {seconds / 3600:,.1f} h")
    if known is None:
        print("the same command without --dry-run collects the statistics")
    else:
        print(f"then: vitmem edit FOLDER --factors factors.safetensors --mass {known.mass} --out edited")


def _print_memory(cost: Cost) -> None:
    device, wide = cost.model_bytes + cost.factor_bytes, 2 * cost.factor_bytes
    print(
        f"on the device: {_gb(device)} for model and sums, beside activations; in memory: {_gb(2 * wide)} in float64, "
        f"sums and means; file: {_gb(wide)}"
    )


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"

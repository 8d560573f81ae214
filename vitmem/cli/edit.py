"""``vitmem edit``: edit the files of a language model or a classifier and print a report of each matrix."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from vitmem.bench.plugins import load_plugins
from vitmem.blocks import parse_blocks
from vitmem.cli.exits import INTERRUPTED
from vitmem.cli.options import Plugin, key_values, yaml_value
from vitmem.errors import InputError
from vitmem.progress import bars
from vitmem.specs import explain

if TYPE_CHECKING:
    from vitmem.kfac import LayerReport
    from vitmem.offline.request import Request
    from vitmem.offline.vision import Edited

HEADS = ("kept pairs %", "kept mass %", "kept energy %", "‖ΔW‖/‖W‖", "cast error")
# Headings of the groups of options.
LANGUAGE, IMAGES, RECORDS = "A language model's folder", "A classifier's file", "The record of an edit"
# The options of each kind of edit, besides the argument and --out.
FOR_LANGUAGE = ("factors", "mass", "blocks", "layers")
FOR_IMAGES = (
    *("model", "images", "method", "settings", "mass", "blocks", "layers", "param", "size", "mean", "std", "count"),
    *("positions", "seed", "skip_broken", "plugin", "device"),
)
FOR_REPLAY = ("replay", "images", "plugin", "device")
FOR_RECORD = ("undo", "dial")


def edit(
    weights: Annotated[
        Path,
        typer.Argument(
            help="a folder with config.json and model.safetensors, or its shards; a classifier's .safetensors, .pt or "
            ".pth; or the .json of an edit"
        ),
    ],
    out: Annotated[Path, typer.Option(help="the folder or .safetensors file to write, which must not exist")],
    mass: Annotated[float | None, typer.Option(help="the share of the importance to keep, 0 to 1")] = None,
    blocks: Annotated[
        str | None,
        typer.Option(help="such as 23-25 or last (default: all with statistics, or a classifier's last_half)"),
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option(help="a pattern inside a block, such as mlp.gate_proj; may be repeated")
    ] = None,
    factors: Annotated[
        Path | None,
        typer.Option(help="the factors.safetensors from 'vitmem fit', or of a store", rich_help_panel=LANGUAGE),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="timm/<name>, torchvision/<name> or the name of a plug-in", rich_help_panel=IMAGES),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="a folder of images, without labels", rich_help_panel=IMAGES)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="a method of 'vitmem list methods' (default: kfac)", rich_help_panel=IMAGES),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, a setting of the method; may be repeated", rich_help_panel=IMAGES),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="key=value, a parameter of the model; may be repeated", rich_help_panel=IMAGES),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="image size in pixels (default: the published one)", rich_help_panel=IMAGES),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="channel means, such as 0.5,0.5,0.5 (default: the published ones)", rich_help_panel=IMAGES),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(help="channel standard deviations (default: the published ones)", rich_help_panel=IMAGES),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="number of images to sample (default: all)", rich_help_panel=IMAGES)
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="tokens for the statistics: cls, all or patches", rich_help_panel=IMAGES)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="random seed (default: 0)", rich_help_panel=IMAGES)] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="skip images that cannot be decoded", rich_help_panel=IMAGES)
    ] = False,
    replay: Annotated[
        Path | None, typer.Option(help="the .json of an edit to repeat on --images", rich_help_panel=IMAGES)
    ] = None,
    device: Annotated[
        str, typer.Option(help="device of the statistics: auto, cpu, cuda or cuda:<n>", rich_help_panel=IMAGES)
    ] = "auto",
    undo: Annotated[
        bool, typer.Option("--undo", help="write the original checkpoint, bit for bit", rich_help_panel=RECORDS)
    ] = False,
    dial: Annotated[
        float | None,
        typer.Option(
            help="write an interpolation: 0 is the edited checkpoint, 1 the original", rich_help_panel=RECORDS
        ),
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Edit the files of a language model or an image classifier, or undo an edit, fully or in part.

    Example: vitmem edit OLMo-2-1124-7B --factors factors.safetensors --mass 0.6 --out edited

    Example: vitmem edit net.safetensors --model timm/resnet50 --images photos/ --mass 0.9 --out edited.safetensors

    Example: vitmem edit edited.json --dial 0.5 --out half.safetensors
    """
    options = {name: value for name, value in locals().items() if name not in ("weights", "out")}
    try:
        with bars():
            if weights.suffix == ".json":
                _record(weights, out, _only(options, FOR_RECORD, "the record of an edit"))
            elif options["replay"] is not None:
                _replay(weights, out, _only(options, FOR_REPLAY, "--replay"))
            elif weights.is_dir() or options["factors"] is not None:
                _language(weights, out, _only(options, FOR_LANGUAGE, "a language model"))
            else:
                _images(weights, out, _only(options, FOR_IMAGES, "a classifier's weights"))
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _only(options: Mapping[str, Any], read: tuple[str, ...], what: str) -> dict[str, Any]:
    """Return the ``read`` ones of ``options``; raises InputError if another one is given."""
    for name, value in options.items():
        if name not in read and value and value != "auto":
            option = {"settings": "set"}.get(name, name).replace("_", "-")
            raise InputError(f"edit: --{option} is not for {what}; see 'vitmem edit --help'")
    return {name: options[name] for name in read}


def _language(weights: Path, out: Path, options: Mapping[str, Any]) -> None:
    from vitmem.language.offline.edit import edit_folder

    if options["factors"] is None or options["mass"] is None:
        raise InputError(f"edit: {weights} is a folder, a language model's: expected --factors and --mass")
    reports = edit_folder(
        weights,
        options["factors"],
        out,
        mass=options["mass"],
        blocks=None if options["blocks"] is None else parse_blocks(options["blocks"]),
        layers=options["layers"] or None,
    )
    _print_table(reports)
    print(f"wrote {out}; what it can still do: vitmem lm-eval {out} --preset merullo2025")


def _images(weights: Path, out: Path, options: Mapping[str, Any]) -> None:
    from vitmem.offline.vision import edit_checkpoint
    from vitmem.training.fit import pick_device

    load_plugins(options["plugin"] or ())
    request = _request(weights, options)
    done = edit_checkpoint(weights, options["images"], out, request, device=pick_device(options["device"]))
    _print_edited(out, done)


def _request(weights: Path, options: Mapping[str, Any]) -> Request:
    """Return the request of the options; raises InputError for invalid values."""
    from vitmem.offline.request import Request

    if options["model"] is None:
        raise InputError(f"edit: expected --model, the architecture of {weights}, such as timm/vit_tiny_patch16_224")
    settings = key_values(options["settings"] or [], "--set")
    if options["mass"] is not None:
        settings["mass"] = options["mass"]
    triples = {x: yaml_value(f"[{options[x]}]", f"--{x}") for x in ("mean", "std") if options[x] is not None}
    plain = {x: options[x] for x in ("model", "method", "layers", "size", "count", "positions", "seed", "skip_broken")}
    given = {
        **{name: value for name, value in plain.items() if value is not None},
        **triples,
        "settings": settings,
        "params": key_values(options["param"] or [], "--param"),
        **({} if options["blocks"] is None else {"blocks": parse_blocks(options["blocks"])}),
    }
    try:
        return Request.model_validate(given)
    except ValidationError as error:
        raise InputError(explain(error, "edit", Request)) from None


def _replay(weights: Path, out: Path, options: Mapping[str, Any]) -> None:
    from vitmem.offline.record import Record
    from vitmem.offline.request import Request
    from vitmem.offline.vision import edit_checkpoint
    from vitmem.training.fit import pick_device

    load_plugins(options["plugin"] or ())
    record = Record.open(options["replay"])
    try:
        request = Request.model_validate(record.facts["request"])
    except ValidationError as error:
        raise InputError(explain(error, str(options["replay"]), Request)) from None
    device = pick_device(options["device"])
    done = edit_checkpoint(weights, options["images"], out, request, device=device, again=record)
    _print_edited(out, done)
    same = done.record.facts["output"]["tensors"] == record.facts["output"]["tensors"]
    print(
        "equal to the first edit, bit for bit" if same else "not bit for bit the first edit: other machine or versions?"
    )


def _record(path: Path, out: Path, options: Mapping[str, Any]) -> None:
    from vitmem.offline.record import Record

    undo, t = options["undo"], options["dial"]
    if undo == (t is not None):
        raise InputError(
            f"edit: {path} is the record of an edit: expected --undo or --dial, got {'both' if undo else 'none'}"
        )
    record = Record.open(path)
    record.dial(1.0 if undo else t, out)
    what = "as it was before the edit, bit for bit" if undo else f"with {t:g} of what was removed"
    print(f"wrote {out}: {record.facts['input']['file']} {what}; it is loaded as the original was")


def _print_edited(out: Path, done: Edited) -> None:
    _print_table(done.reports)
    if done.broken:
        print(f"left out {len(done.broken)} images that cannot be decoded, the first {done.broken[0]}")
    facts, path = done.record.facts, done.record.path
    dial = sum(layer["dial"]["bytes"] for layer in facts["layers"].values())
    print(
        f"wrote {out}, {path.name} and {facts['removed']['file']} ({_mb(facts['removed']['bytes'])}: what was removed)"
    )
    print(
        f"a model with both versions takes {_mb(dial)} more; back: vitmem edit {path} --undo --out FILE, or --dial 0.5"
    )


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _print_table(reports: Mapping[str, LayerReport]) -> None:
    width = max(len(path) for path in reports)
    print(" ".join([f"{'layer':<{width}}", *(f"{head:>13}" for head in HEADS)]))
    for path, r in reports.items():
        shares = (r.kept_pairs / r.total_pairs, r.kept_mass, r.kept_energy)
        numbers = [f"{'–':>13}" if share is None else f"{100 * share:13.2f}" for share in shares]
        print(" ".join([f"{path:<{width}}", *numbers, f"{r.relative_change:13.4f}", f"{r.cast_error:13.1e}"]))

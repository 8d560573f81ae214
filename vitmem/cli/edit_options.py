"""The verb ``edit`` and its options, for files of language models, of image classifiers, and records of edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitmem.cli.options import Plugin, call

LANGUAGE, IMAGES, RECORDS = "A language model's folder", "A classifier's file", "The record of an edit"


def edit(
    weights: Annotated[
        Path,
        typer.Argument(
            help="a folder with config.json and model.safetensors, or its shards; a classifier's .safetensors, .pt or "
            ".pth; or the .json of an edit"
        ),
    ],
    out: Annotated[Path, typer.Option(help="the folder or .safetensors file to write, which must not be there")],
    mass: Annotated[float | None, typer.Option(help="the share of the importance that is kept, 0 to 1")] = None,
    blocks: Annotated[
        str | None,
        typer.Option(help="such as 23-25 or last; if left out, all with statistics, or a classifier's last_half"),
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option(help="a pattern inside a block, such as mlp.gate_proj; may be repeated")
    ] = None,
    factors: Annotated[
        Path | None,
        typer.Option(help="what 'vitmem fit' wrote, or factors.safetensors", rich_help_panel=LANGUAGE),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="timm/<name>, torchvision/<name> or that of a plug-in", rich_help_panel=IMAGES),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="a folder of images; no labels are read", rich_help_panel=IMAGES)
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="kfac (if left out), or another of 'vitmem list methods'", rich_help_panel=IMAGES)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, a setting of the method; may be repeated", rich_help_panel=IMAGES),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="key=value, what the model was made with; may be repeated", rich_help_panel=IMAGES),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="pixels, if not the published ones", rich_help_panel=IMAGES)
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="such as 0.5,0.5,0.5, if not the published one", rich_help_panel=IMAGES)
    ] = None,
    std: Annotated[str | None, typer.Option(help="likewise", rich_help_panel=IMAGES)] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="draw so many of the images; all if left out", rich_help_panel=IMAGES)
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="tokens that count: cls, all or patches", rich_help_panel=IMAGES)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 if left out", rich_help_panel=IMAGES)] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="leave out images that cannot be decoded", rich_help_panel=IMAGES)
    ] = False,
    replay: Annotated[
        Path | None, typer.Option(help="the .json of an edit to do again on --images", rich_help_panel=IMAGES)
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:<n>, for the statistics", rich_help_panel=IMAGES)
    ] = "auto",
    undo: Annotated[
        bool, typer.Option("--undo", help="write the checkpoint as it was, bit for bit", rich_help_panel=RECORDS)
    ] = False,
    dial: Annotated[
        float | None,
        typer.Option(help="write the one in between: 0 is edited, 1 as it was", rich_help_panel=RECORDS),
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Edit the files of a language model or an image classifier, or take an edit back, all of it or a part.

    Example: vitmem edit OLMo-2-1124-7B --factors factors.safetensors --mass 0.6 --out edited

    Example: vitmem edit net.safetensors --model timm/resnet50 --images photos/ --mass 0.9 --out edited.safetensors

    Example: vitmem edit edited.json --dial 0.5 --out half.safetensors
    """
    call("vitmem.cli.edit:edit", **locals())

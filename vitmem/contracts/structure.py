"""The editable parts of a network: its blocks in order, layers with shapes and positions, and their share."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

from vitmem.contracts.fixtures import ImageModelUnderTest, ModelUnderTest
from vitmem.kfac import find_layers, weight_matrix
from vitmem.kfac.capture import entering


def editable_parts(subject: ModelUnderTest) -> str:
    """Return lines of text: similar neighbouring blocks, each layer as outputs x inputs at positions per example.

    The last line gives the share of the parameters in these layers.
    """
    layers = find_layers(subject.net, subject.model.editable("all"))
    positions: dict[str, int] = {}

    def see(path: str, rows: Tensor) -> None:
        positions[path] = rows.numel() // rows.shape[-1]

    with entering(layers, see), torch.no_grad():
        subject.forward(subject.net, subject.inputs[:1])
    blocks = [(path, _of_block(subject, number, positions)) for number, path in enumerate(subject.model.blocks)]
    lines = []
    for description, group in groupby(blocks, key=lambda block: block[1]):
        paths = [path for path, _ in group]
        name = paths[0] if len(paths) == 1 else f"{paths[0]} to {paths[-1]} ({len(paths)})"
        lines.append(f"{name}: {description}")
    edited = sum(weight_matrix(layer).numel() for layer in layers.values())
    whole = sum(parameter.numel() for parameter in subject.net.parameters())
    token = isinstance(subject, ImageModelUnderTest) and subject.model.positions == "cls"
    counted = "; of the positions the class token counts" if token else ""
    share = f"{edited:,} of {whole:,} parameters ({edited / whole:.1%}) can be edited{counted}"
    return "\n".join([f"{len(blocks)} blocks", *(f"    {line}" for line in (*lines, share))])


def _of_block(subject: ModelUnderTest, number: int, positions: dict[str, int]) -> str:
    path, texts = subject.model.blocks[number], []
    for place, layer in find_layers(subject.net, subject.model.editable(number)).items():
        p, q = weight_matrix(layer).shape
        name = place.removeprefix(path).removeprefix(".") or "itself"
        texts.append(f"{name} {p} x {q} at {positions.get(place, 0)}")
    return ", ".join(texts)

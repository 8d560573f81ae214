"""The editable layers of a library network: from its structure, or from given patterns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from vitmem import kfac as engine
from vitmem.errors import InputError, near_names
from vitmem.lazy import torch
from vitmem.models.structure import Found, find_blocks, find_layers_of
from vitmem.models.trace import Call, traced

# Image size at which the last map of nearly every convolutional network has more than one position.
LARGE = 224


@dataclass(frozen=True)
class Places:
    """The ``blocks`` of a network in order, the patterns of their ``layers``, and those of each block if they differ.

    ``prefix_tokens``, including a class token, precede the patches in the inputs of these layers.
    """

    blocks: tuple[str, ...]
    layers: tuple[str, ...]
    layers_of: tuple[tuple[str, ...], ...] | None
    prefix_tokens: int


def places(
    net: torch.nn.Module,
    name: str,
    channels: int,
    size: int,
    blocks: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    prefix_tokens: int = 0,
) -> Places:
    """Return the editable layers of ``net``, called ``name``, which reads images (B, channels, size, size).

    ``blocks`` are patterns of block paths, a ``*`` for one part of a path, and ``layers`` patterns of layers inside a
    block. ``prefix_tokens`` is the network's own number. Raises InputError when the network cannot read such images,
    when no layer is found in it, and for a pattern without a match.
    """
    calls = traced(net, channels, size, name)
    structure = _structure(net, calls, channels, size, name)
    selected = find_blocks(net, structure) if blocks is None else _given_blocks(net, structure, name, blocks, layers)
    if layers is not None:
        selected = [Found(block.path, _given_layers(net, structure, name, block.path, layers)) for block in selected]
    if not selected:
        raise InputError(_why_none(net, name))
    alike = len({block.layers for block in selected}) == 1
    every = tuple(dict.fromkeys(layer for block in selected for layer in block.layers))
    paths = [f"{block.path}.{layer}" if layer else block.path for block in selected for layer in block.layers]
    prefix = prefix_tokens if _tokens_enter(calls, paths, prefix_tokens) else 0
    return Places(
        tuple(block.path for block in selected),
        every,
        None if alike else tuple(block.layers for block in selected),
        prefix,
    )


def _structure(
    net: torch.nn.Module, calls: Mapping[str, Call], channels: int, size: int, name: str
) -> Mapping[str, Call]:
    """Return the calls that determine the structure: of larger images if maps with one position leave it open."""
    single = any(shape[-2:] == (1, 1) for call in calls.values() for shape in call.inputs if len(shape) == 4)
    if size >= LARGE or not single:
        return calls
    try:
        return traced(net, channels, LARGE, name)
    except InputError:
        return calls  # a network with a fixed input size


def _given_blocks(
    net: torch.nn.Module, calls: Mapping[str, Call], name: str, patterns: Sequence[str], layers: Sequence[str] | None
) -> list[Found]:
    chosen: set[str] = set()
    for pattern in patterns:
        matches = {path for path in calls if path and _matches(path, pattern)}
        if not matches:
            raise InputError(_no_match(f"model '{name}': blocks: '{pattern}' matches no module that", calls, pattern))
        chosen |= matches
    for path in chosen:
        outer = next((other for other in chosen if path.startswith(f"{other}.")), None)
        if outer is not None:
            raise InputError(f"model '{name}': blocks: '{path}' is inside '{outer}'; give blocks that do not overlap")
    selected = []
    for path in (path for path in calls if path in chosen):
        own = find_layers_of(net, calls, path)
        if not own and layers is None:
            raise InputError(f"model '{name}': block '{path}': no MLP and no convolution is found in it; give 'layers'")
        selected.append(Found(path, own))
    return selected


def _matches(path: str, pattern: str) -> bool:
    """Return whether ``path`` matches ``pattern`` part by part."""
    parts, pattern_parts = path.split("."), pattern.split(".")
    return len(parts) == len(pattern_parts) and all(map(fnmatchcase, parts, pattern_parts))


def _given_layers(
    net: torch.nn.Module, calls: Mapping[str, Call], name: str, block: str, patterns: Sequence[str]
) -> tuple[str, ...]:
    """Return the layers of ``block`` that match; every pattern must match, because the blocks of a set are alike."""
    inside = [path.removeprefix(f"{block}.") for path in calls if path.startswith(f"{block}.")]
    matrices = [path for path in inside if engine.is_matrix(net.get_submodule(f"{block}.{path}"))]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in matrices):
            problem = f"matches no linear layer or convolution of block '{block}' that"
            raise InputError(_no_match(f"model '{name}': layers: '{pattern}' {problem}", matrices, pattern))
    return tuple(path for path in matrices if any(fnmatchcase(path, pattern) for pattern in patterns))


def _no_match(where: str, known: Iterable[str], pattern: str) -> str:
    names = [path for path in known if path]
    near = near_names(pattern, names, 3, alike=0.3) or names[:3]
    return f"{where} is called; nearest: {', '.join(near) or 'none'}"


def _why_none(net: torch.nn.Module, name: str) -> str:
    own = {
        type(m).__name__
        for m in net.modules()
        if isinstance(m, torch.nn.Conv2d) and not engine.is_matrix(m) and m.groups == 1
    }
    why = f"; its convolutions ({', '.join(sorted(own))}) compute their weight or padding" if own else ""
    return (
        f"model '{name}': no blocks with an MLP or convolutions of one group are found in it{why}; give 'blocks' and "
        "'layers' with the model, as patterns of module paths"
    )


def _tokens_enter(calls: Mapping[str, Call], paths: Sequence[str], prefix: int) -> bool:
    """Return whether the inputs of all layers ``paths`` are ``prefix`` tokens and a square of patches, (B, T, C)."""
    shapes = [calls[path].inputs[0] for path in paths]
    return prefix > 0 and all(len(shape) == 3 and _square(shape[1] - prefix) for shape in shapes)


def _square(count: int) -> bool:
    return count > 0 and round(count**0.5) ** 2 == count

"""Blocks and editable layers of a network, from the nesting, calls and shapes of its modules, not from names.

A block is a numbered module with several weights and no such module inside: the unit that a stage repeats. Its MLPs are
edited: pairs of layers, linear or 1x1 convolutions, that widen the channels of the block and narrow them again, with
anything in between (a gate, a depthwise convolution). Networks without an MLP have blocks of convolutions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vitmem import kfac as engine
from vitmem.lazy import torch
from vitmem.models.trace import IMAGES, Call

LISTS = ("Sequential", "ModuleList", "ModuleDict")
# Blocks that are attributes, not list members: RegNet, Xception, DLA, NASNet and the Inceptions.
NUMBERED = re.compile(r"^((b|block|tree|cell_)\d+|(Mixed_|inception)\d[a-e])$")
# Lists whose members are parts of blocks, not blocks.
PARTS = ("stem", "downsample", "fuse_layers", "incre_modules", "attns", "ffns")


@dataclass(frozen=True)
class Found:
    """The ``path`` of a block, and the paths inside it of the edited layers; '' is the block itself."""

    path: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Weighted:
    """A layer that was called: ``path``, channels in and out, and whether it is 1x1, grouped, and editable."""

    path: str
    inputs: int
    outputs: int
    pointwise: bool
    grouped: bool
    matrix: bool


@dataclass(frozen=True)
class Pair:
    """The ``layers`` of an MLP, the narrowing one last; ``direct`` if no depthwise convolution is in between."""

    layers: tuple[Weighted, ...]
    direct: bool


def find_blocks(net: torch.nn.Module, calls: Mapping[str, Call]) -> list[Found]:
    """Return the blocks of ``net`` in the order of ``calls``, each with its layers; empty if none is found."""
    layers = [layer for layer in _weighted(net, calls) if not _is_gate(calls, layer)]
    numbered = _numbered(net, calls, layers)
    units = {path: inside for path, inside in numbered.items() if _several_matrices(inside)}
    pairs = {path: _pairs(calls, path, _without_shortcuts(calls, path, inside)) for path, inside in units.items()}
    if any(pair.direct for result in pairs.values() for pair in result):
        chosen = {path: _of_pairs(pairs[path]) for path in _innermost([path for path in units if pairs[path]])}
    else:
        blocks = _innermost(units)
        apart = [path for path in numbered if not any(f"{path}.".startswith(f"{block}.") for block in blocks)]
        blocks |= {path for path in _innermost(apart) if not any(block.startswith(f"{path}.") for block in blocks)}
        chosen = {path: _of_pairs(pairs.get(path, ())) or _convolutions(calls, path, numbered[path]) for path in blocks}
    result = [Found(path, _inside(path, chosen[path])) for path in calls if chosen.get(path)]
    return result or [Found(layer.path, ("",)) for layer in _chain(layers)]


def find_layers_of(net: torch.nn.Module, calls: Mapping[str, Call], block: str) -> tuple[str, ...]:
    """Return the paths of the edited layers inside the module ``block``; empty if none is found."""
    inside = [layer for layer in _weighted(net, calls) if layer.path.startswith(f"{block}.")]
    own = [layer for layer in inside if not _is_gate(calls, layer)]
    pairs = _pairs(calls, block, _without_shortcuts(calls, block, own))
    return _inside(block, _of_pairs(pairs) or _convolutions(calls, block, own))


def _inside(block: str, layers: Sequence[Weighted]) -> tuple[str, ...]:
    return tuple(layer.path.removeprefix(f"{block}.") for layer in layers)


def _innermost(paths: Iterable[str]) -> set[str]:
    """Return the ``paths`` that contain no other of them."""
    outer = {parent for path in paths for parent in _ancestors(path)}
    return set(paths) - outer


def _of_pairs(pairs: Sequence[Pair]) -> list[Weighted]:
    """Return the layers of the direct ``pairs``, or of all when none is direct."""
    return [layer for pair in [p for p in pairs if p.direct] or pairs for layer in pair.layers]


def _weighted(net: torch.nn.Module, calls: Mapping[str, Call]) -> Iterator[Weighted]:
    for path in calls:
        module = net.get_submodule(path)
        if isinstance(module, torch.nn.Conv2d):
            pointwise = tuple(module.kernel_size) == (1, 1)
            grouped = module.groups > 1
            yield Weighted(path, module.in_channels, module.out_channels, pointwise, grouped, engine.is_conv2d(module))
        elif engine.is_linear(module):
            p, q = module.weight.shape  # type: ignore[misc]
            yield Weighted(path, int(q), int(p), True, False, engine.is_matrix(module))


def _numbered(net: torch.nn.Module, calls: Mapping[str, Call], layers: Sequence[Weighted]) -> dict[str, list[Weighted]]:
    """Return path -> layers of the numbered modules that have several and are not bare lists of modules."""
    inside: dict[str, list[Weighted]] = {}
    for layer in layers:
        for path in _ancestors(layer.path):
            inside.setdefault(path, []).append(layer)
    several = (path for path, own in inside.items() if path in calls and len(own) > 1)
    return {path: inside[path] for path in several if _has_number(net, path) and not _is_list(net.get_submodule(path))}


def _is_list(module: torch.nn.Module) -> bool:
    """Return whether ``module`` is a list of modules with submodules."""
    return type(module) in _lists() and all(any(child.children()) for child in module.children())


def _several_matrices(layers: Sequence[Weighted]) -> bool:
    return sum(not layer.grouped for layer in layers) > 1


def _ancestors(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _has_number(net: torch.nn.Module, path: str) -> bool:
    parent, _, name = path.rpartition(".")
    if any(part in PARTS for part in path.split(".")):
        return False
    return (isinstance(net.get_submodule(parent), _lists()) and name[-1:].isdigit()) or bool(NUMBERED.match(name))


def _pairs(calls: Mapping[str, Call], block: str, layers: Sequence[Weighted]) -> list[Pair]:
    """Return the MLPs among ``layers``: a narrowing layer and the last layer before it that widens its input."""
    entering, leaving = _channels(calls[block].inputs), _channels(calls[block].outputs)
    pairs: list[Pair] = []
    start = 0
    for end, down in enumerate(layers):
        if not (down.matrix and down.pointwise and down.outputs in leaving and down.inputs >= down.outputs):
            continue
        wide = [_widens(layer, down, entering | leaving) for layer in layers[start:end]]
        if any(wide):
            last = len(wide) - wide[::-1].index(True)
            first = last - 1
            while first and wide[first - 1]:
                first -= 1
            ups, between = layers[start + first : start + last], layers[start + last : end]
            direct = not any(layer.grouped and not layer.pointwise for layer in between)
            narrows = down.inputs > down.outputs or not direct  # a stage may widen the output of its first block
            if not narrows or _read_apart(calls, ups, layers):
                continue
            pairs.append(Pair((*ups, down), direct))
            start = end + 1
    whole = [pair for pair in pairs if calls[pair.layers[-1].path].inputs[0][0] == IMAGES]
    return whole or pairs


def _read_apart(calls: Mapping[str, Call], ups: Sequence[Weighted], layers: Sequence[Weighted]) -> bool:
    """Return whether the input of ``ups`` is also the input of other layers: then they are attention values."""
    read = {number for up in ups for number in calls[up.path].reads}
    return any(layer not in ups and read & set(calls[layer.path].reads) for layer in layers)


def _widens(up: Weighted, down: Weighted, channels: set[int]) -> bool:
    """Return whether the hidden channels of ``down`` are the outputs of ``up``, or half of them with a gate."""
    wide = up.outputs in (down.inputs, 2 * down.inputs) and up.outputs > up.inputs
    return up.matrix and up.pointwise and up.inputs in channels and wide


def _channels(shapes: Sequence[tuple[int, ...]]) -> set[int]:
    """Return the lengths that may be channels: the last one, and the second one of a map (B, C, H, W)."""
    maps = [shape[1] for shape in shapes if len(shape) == 4]
    return {shape[-1] for shape in shapes if shape} | {*maps, sum(maps)}  # a dense block concatenates several maps


def _convolutions(calls: Mapping[str, Call], block: str, layers: Sequence[Weighted]) -> list[Weighted]:
    """Return the ungrouped convolutions in ``block`` that are not shortcuts."""
    kept = _without_shortcuts(calls, block, layers)
    return [layer for layer in kept if layer.matrix and len(calls[layer.path].inputs[0]) == 4]


def _without_shortcuts(calls: Mapping[str, Call], block: str, layers: Sequence[Weighted]) -> list[Weighted]:
    return [layer for layer in layers if not _is_shortcut(calls, block, layer, layers)]


def _is_gate(calls: Mapping[str, Call], layer: Weighted) -> bool:
    """Return whether the input of ``layer`` was pooled over all positions of a map (squeeze and excite)."""
    shape = calls[layer.path].inputs[0]
    around = (calls[path].inputs for path in _ancestors(layer.path) if path in calls)
    return len(shape) in (2, 4) and _places([shape]) == 1 and any(_places(shapes) > 1 for shapes in around)


def _places(shapes: Sequence[tuple[int, ...]]) -> int:
    """Return the number of positions of the largest map (B, C, H, W) or (B, H, W, C), 1 without a map."""
    return max((min(s[-1] * s[-2], s[1] * s[2]) for s in shapes if len(s) == 4), default=1)


def _is_shortcut(calls: Mapping[str, Call], block: str, layer: Weighted, layers: Sequence[Weighted]) -> bool:
    """Return whether ``layer``, 1x1, is the only layer of a path out of the block parallel to another path."""
    parts: dict[str, list[Weighted]] = {}
    for one in layers:
        parts.setdefault(f"{block}.{_inside(block, [one])[0].split('.')[0]}", []).append(one)
    mine = next(path for path, inside in parts.items() if layer in inside)
    if not layer.pointwise or _several_matrices(parts[mine]) or mine not in calls:
        return False
    call = calls[mine]
    others = {read for path in parts if path != mine and path in calls for read in calls[path].reads}
    leads_out = bool(set(call.outputs) & set(calls[block].outputs)) and call.inputs != call.outputs
    return leads_out and bool(others & set(call.reads))


def _chain(layers: Sequence[Weighted]) -> list[Weighted]:
    """Return the convolutions of a network that is a single list of them, like VGG."""
    lists: dict[str, list[Weighted]] = {}
    for layer in layers:
        if layer.matrix and layer.path.rpartition(".")[2].isdigit() and not layer.pointwise:
            lists.setdefault(layer.path.rpartition(".")[0], []).append(layer)
    longest = max(lists.values(), key=len, default=[])
    return longest if 2 * len(longest) > len(layers) else []


def _lists() -> tuple[type[torch.nn.Module], ...]:
    return tuple(getattr(torch.nn, name) for name in LISTS)

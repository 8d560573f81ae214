"""Match the tensors of a file with those of a network, allowing for prefixes added by training scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitmem.errors import InputError
from vitmem.files import short_name
from vitmem.lazy import torch
from vitmem.models.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor


# Inserted by torch.compile anywhere in a name.
COMPILED = "_orig_mod."
# Step counter of batch normalisation: not used in a forward pass, and missing in old files.
COUNTED = "num_batches_tracked"
# Buffers of older library versions and operation counters, which the network recomputes or does not need.
MADE = ("relative_position_index", "relative_coords_table", "attn_mask", "total_ops", "total_params", "n_averaged")
# Parts of the names of weight averages.
AVERAGED = ("ema", "teacher", "averaged", "swa")


@dataclass(frozen=True)
class Match:
    """The file's name of each tensor of a network; the common ``prefix``, and the file's unused tensors."""

    names: Mapping[str, str]
    prefix: str
    left_out: tuple[str, ...]

    def account(self, weights: Weights) -> str:
        """Return one sentence on the removed prefix and the left-out tensors, or an empty text."""
        parts = [f"the prefix '{self.prefix}' taken off"] if self.prefix else []
        if left := (*weights.left_out, *(f"'{name}'" for name in self.left_out)):
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            parts.append(f"left out {', '.join(left[:3])}{more}")
        return f"{short_name(weights.path)}: {'; '.join(parts)}" if parts else ""


def match(weights: Weights, net: torch.nn.Module, name: str, optional: Collection[str] = ()) -> Match:
    """Match the tensors of a file with those of ``net``, the model ``name``, under any prefix.

    Raises InputError when a tensor is missing that is not ``optional``, and for one unknown to the network.
    """
    expected = net.state_dict()
    plain = {key.replace(COMPILED, ""): key for key in weights.tensors}
    prefix = _prefix(plain, [key for key in expected if not key.endswith(COUNTED)])
    inside = {key.removeprefix(prefix): real for key, real in plain.items() if key.startswith(prefix)}
    missing = [k for k in expected if k not in inside and not k.endswith(COUNTED) and k not in optional]
    extra = [key for key in inside if key not in expected and not key.endswith(MADE)]
    if missing or extra:
        problems = [
            f"{len(keys)} {what} (first '{keys[0][:80]}')"
            for keys, what in ((missing, "missing"), (extra, "unknown"))
            if keys
        ]
        raise InputError(
            f"{short_name(weights.path)}: not the weights of {name}: of {len(expected)} tensors "
            f"{' and '.join(problems)}; give the model that they were saved from, with its "
            "parameters (such as --param depth=4 of 'vitmem edit', 'arguments' of a suite's model)"
        )
    names = {key: inside[key] for key in expected if key in inside}
    taken = set(names.values())
    before = next(iter(names.values())).removesuffix(next(iter(names)))
    return Match(names, before, tuple(key for key in weights.tensors if key not in taken))


def _prefix(names: Collection[str], needed: list[str]) -> str:
    """Return the prefix of most ``needed`` names among ``names``; ties go to the shortest plain one."""
    required, hits = set(needed), Counter({"": 0})
    for name in names:
        hits.update(prefix for prefix in _starts(name) if name[len(prefix) :] in required)
    return min(hits, key=lambda prefix: (-hits[prefix], any(part in prefix for part in AVERAGED), len(prefix)))


def _starts(name: str) -> Iterable[str]:
    """Return the empty text and ``name`` up to each dot: the possible prefixes."""
    return ["", *(name[: n + 1] for n, letter in enumerate(name) if letter == ".")]


def length_of(
    weights: Weights, names: Mapping[str, str], nets: tuple[torch.nn.Module, torch.nn.Module], lengths: tuple[int, int]
) -> int:
    """Return the length, in a file, of the first dimension that is ``lengths`` in two networks; 0 if there is none."""
    one, other = (net.state_dict() for net in nets)
    for key, tensor in one.items():
        for axis, pair in enumerate(zip(tensor.shape, other[key].shape, strict=True)):
            if pair == lengths and key in names and weights.tensors[names[key]].ndim == tensor.ndim:
                return int(weights.tensors[names[key]].shape[axis])
    return 0


def check_shapes(
    weights: Weights, names: Mapping[str, str], net: torch.nn.Module, what: str, leave: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return the tensors of a file by the names of ``net``, (n, ...) each, except those to ``leave``.

    Raises InputError, describing the network as ``what``, for a shape mismatch.
    """
    state = {}
    for key, tensor in net.state_dict().items():
        if key not in names or key in leave:
            continue
        state[key] = weights.tensors[names[key]]
        if tensor.shape != state[key].shape:
            raise InputError(
                f"{short_name(weights.path)}: '{names[key][:80]}' is {tuple(state[key].shape)}, that of {what} is "
                f"{tuple(tensor.shape)}; give the image size that it was trained at (--size of "
                "'vitmem edit', 'image_size' of a suite's model), another parameter, or another model"
            )
    return state

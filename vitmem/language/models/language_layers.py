"""The MLP matrices of a language model: blocks found by structure, matrices by role."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from vitmem import kfac as engine
from vitmem.blocks import Blocks, block_numbers
from vitmem.errors import InputError
from vitmem.lazy import torch

Role = Literal["gate", "up", "gate_up", "down"]
# The last part of a layer's path -> its role, as in transformers (language models and their fused variants).
ROLES: dict[str, Role] = {
    "gate_proj": "gate",
    "up_proj": "up",
    "gate_up_proj": "gate_up",
    "down_proj": "down",
    "c_fc": "up",  # GPT-2, Starcoder2
    "c_proj": "down",
    "dense_h_to_4h": "up",  # GPT-NeoX, BLOOM
    "dense_4h_to_h": "down",
    "fc_in": "up",  # GPT-J
    "fc_out": "down",
    "fc1": "up",  # OPT, Phi
    "fc2": "down",
}
MLP = re.compile(r"(^|\.)(mlp|ffn|feed_forward)$")


def language_blocks(model: torch.nn.Module) -> list[str]:
    """Return the block paths in order: the longest list of modules of one class with linear layers inside.

    Raises InputError when there is none.
    """
    best: list[str] = []
    root = ""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model  # type: ignore[operator]
    start = next((path for path, module in model.named_modules() if module is decoder), "")
    for path, module in model.get_submodule(start).named_modules(prefix=start):
        if best and path.startswith(f"{root}."):
            continue  # a list inside a block (experts) is not a list of blocks
        alike = isinstance(module, torch.nn.ModuleList) and len({type(child) for child in module}) == 1
        if alike and len(module) > len(best) and any(engine.is_linear(m) for m in module[0].modules()):
            root, best = path, [f"{path}.{n}" for n in range(len(module))]
    if not best:
        raise InputError(f"model {type(model).__name__}: no list of blocks with linear layers; give layers by pattern")
    return best


def mlp_layers(model: torch.nn.Module, blocks: Blocks, roles: Sequence[Role] = ("gate", "up", "gate_up")) -> list[str]:
    """Return the paths of the MLP matrices of these ``roles`` in ``blocks``, for ``vitmem.kfac.find_layers``.

    The default is the edit of Merullo et al. (2025) in OLMo-2: gate and up, not down. Raises InputError for a block
    without such a matrix, and for a mixture of experts, whose weights are not linear layers.
    """
    paths = language_blocks(model)
    matched = []
    for number in block_numbers(blocks, len(paths)):
        block = model.get_submodule(paths[number])
        by_role = _by_role(block)
        chosen = [name for name, role in by_role.items() if role in roles]
        if not chosen:
            raise InputError(_why_none(paths[number], block, by_role, roles))
        matched += [f"{paths[number]}.{name}" for name in chosen]
    return matched


def _by_role(block: torch.nn.Module) -> dict[str, Role]:
    """Return the linear layers of a block's MLP by path inside the block, with their roles."""
    out = {}
    for name, module in block.named_modules():
        parent, _, last = name.rpartition(".")
        # OPT has its two matrices in the block itself
        if engine.is_linear(module) and last in ROLES and (MLP.search(parent) or parent == ""):
            out[name] = ROLES[last]
    return out


def _why_none(path: str, block: torch.nn.Module, by_role: dict[str, Role], roles: Sequence[Role]) -> str:
    for name, module in block.named_modules():
        if name.endswith("experts"):
            return (
                f"block '{path}': '{name}' is a mixture of experts ({type(module).__name__}), which has no statistics "
                "per expert here; edit a dense model, or the attention projections by pattern"
            )
    for name, module in block.named_modules():
        if name.rpartition(".")[2] in ROLES and not engine.is_linear(module):
            return (
                f"block '{path}': '{name}' is a {type(module).__name__}, no linear layer of its own (quantised?); load "
                "the model in bfloat16 or float32"
            )
    if by_role:
        return (
            f"block '{path}': no matrix of role {' or '.join(roles)}; it has {', '.join(sorted(set(by_role.values())))}"
        )
    return f"block '{path}': no MLP that is known by name; give layers by pattern to vitmem.kfac.find_layers"

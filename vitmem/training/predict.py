"""Logits of all images, each once, in eval mode, without augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitmem.data.augment import normalise
from vitmem.data.streamed import Images
from vitmem.kfac import eval_mode

MIXED = {"bf16": torch.bfloat16, "16": torch.float16}


@torch.inference_mode()
def predict(
    net: nn.Module,
    images: Images,
    mean: Tensor,
    std: Tensor,
    device: torch.device | str,
    precision: str = "32",
    batch_size: int = 500,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return logits (N, K) ``dtype`` on the CPU for uint8 ``images`` (N, C, H, W), in their order.

    ``precision`` is that of the recipe: bf16 and 16 are mixed (autocast), 32 and 64 those of the network. Logits are
    rounded to float32 first.
    """
    out = []
    device = torch.device(device)
    autocast = torch.autocast(device.type, MIXED.get(precision, torch.bfloat16), enabled=precision in MIXED)
    with eval_mode(net), autocast:
        for batch in images.split(batch_size):
            out.append(net(normalise(batch.to(device), mean, std)).float().to(dtype).cpu())
    return torch.cat(out)

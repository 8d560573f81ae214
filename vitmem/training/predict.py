"""Logits of all images, each once, in eval mode, without augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitmem.data.augment import normalise


@torch.inference_mode()
def predict(
    net: nn.Module,
    images: Tensor,
    mean: Tensor,
    std: Tensor,
    device: torch.device | str,
    precision: str = "32",
    batch_size: int = 500,
) -> Tensor:
    """Return logits (N, K) float32 on the CPU for uint8 ``images`` (N, C, H, W), in their order.

    ``precision`` is "32" or "bf16" (autocast), as the network was trained.
    """
    was_training = net.training
    net.eval()
    out = []
    device = torch.device(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for batch in images.split(batch_size):
            out.append(net(normalise(batch.to(device), mean, std)).float().cpu())
    net.train(was_training)
    return torch.cat(out)

"""Residual MLPs on patches."""

from __future__ import annotations

import torch
from timm.layers import DropPath, PatchEmbed
from torch import Tensor, nn
from torch.nn import functional

from vitmem.models.base import ImageShape


class Block(nn.Module):
    """x + fc2(relu(fc1(norm(x)))) on rows (B, T, ``width``), with ``hidden`` units."""

    def __init__(self, width: int, hidden: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows (B, T, width) after the block."""
        return x + self.drop_path(self.drop(self.fc2(self.drop(functional.relu(self.fc1(self.norm(x)))))))


class ResidualMlp(nn.Module):
    """Mean pooling, a linear embedding of patches, blocks, a norm, the mean over patches and a linear classifier."""

    def __init__(
        self,
        shape: ImageShape,
        pool: int,
        patch: int,
        width: int,
        hidden: int,
        depth: int,
        dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.embed = PatchEmbed(shape.size // pool, patch // pool, shape.channels, width)
        rates = torch.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.Sequential(*(Block(width, hidden, dropout, rate) for rate in rates))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        rows = self.norm(self.blocks(self.embed(self.pool(images))))
        logits: Tensor = self.head(torch.mean(rows, dim=1))
        return logits

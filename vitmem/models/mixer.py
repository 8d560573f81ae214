"""MLP-Mixer: no attention and no class token, a test of the contract on another architecture."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vitmem.models.base import ImageShape, VisionModel
from vitmem.models.vit import Count, Dropout, check_patches
from vitmem.registry import MODELS

# Hidden units of the token and channel MLPs, as multiples of the width (Tolstikhin et al. 2021).
TOKEN_RATIO, CHANNEL_RATIO = 0.5, 4.0


@MODELS.register("mixer", summary="MLP-Mixer by size (timm's MlpMixer)")
def mixer(
    shape: ImageShape,
    *,
    patch_size: Count = 8,
    width: Count = 192,
    depth: Count = 6,
    mlp_ratio: Annotated[float | None, Field(gt=0)] = None,
    dropout: Dropout = 0.0,
    drop_path: Dropout | None = None,
) -> VisionModel:
    """Return an MLP-Mixer for images of ``shape`` (Tolstikhin et al. 2021).

    ``patch_size`` is in pixels, ``width`` the number of channels, ``depth`` of blocks. Edits apply to the channel MLPs,
    whose rows are tokens, with ``mlp_ratio`` times the width as hidden units (4 if ``None``); the token MLPs, with half
    the width, see a transposed (B, C, T). ``drop_path`` is the rate of stochastic depth of every block. Raises
    InputError when the patches do not tile the image.
    """
    from timm.models.mlp_mixer import MlpMixer

    check_patches("mixer", shape, patch_size)
    net = MlpMixer(
        img_size=shape.size,
        patch_size=patch_size,
        in_chans=shape.channels,
        num_classes=shape.num_classes,
        embed_dim=width,
        num_blocks=depth,
        mlp_ratio=(TOKEN_RATIO, CHANNEL_RATIO if mlp_ratio is None else mlp_ratio),
        drop_rate=dropout,
        proj_drop_rate=dropout,
        drop_path_rate=drop_path or 0.0,
    )
    return VisionModel(
        net,
        blocks=tuple(f"blocks.{n}" for n in range(depth)),
        layers=("mlp_channels.fc1", "mlp_channels.fc2"),
        positions="all",
        prefix_tokens=0,
        tokens=(shape.size // patch_size) ** 2,
    )

"""Vision transformers by size, with a class token or the mean over patches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel
from vitmem.registry import MODELS

Count = Annotated[int, Field(gt=0)]
Dropout = Annotated[float, Field(ge=0, lt=1, description="rate of dropout")]

# On a CPU the fused attention's backward pass is slower for sequences this short: 337 against 488 images/s
# in bf16 (width 192, 6 blocks, 17 tokens, one core of an AMD EPYC, torch 2.14).
SHORT_SEQUENCE = 128


@MODELS.register("vit", summary="vision transformer by size (timm's VisionTransformer)")
def vit(
    shape: ImageShape,
    *,
    patch_size: Count = 8,
    width: Count = 192,
    depth: Count = 6,
    heads: Count = 3,
    mlp_ratio: Annotated[float, Field(gt=0)] = 4.0,
    pool: Literal["token", "mean"] = "token",
    dropout: Dropout = 0.0,
    drop_path: Dropout | None = None,
) -> VisionModel:
    """Return a ViT for images of ``shape``; ``pool`` selects the head's input (Dosovitskiy et al. 2021).

    ``patch_size`` is in pixels, ``width`` that of tokens, ``depth`` the number of blocks, ``heads`` of attention heads
    and ``mlp_ratio`` the hidden units of an MLP by width. ``drop_path`` is the rate of stochastic depth in the last
    block; that of the first is 0, and it rises evenly.

    Raises InputError when the patches do not tile the image or the heads do not divide the width.
    """
    from timm.models.vision_transformer import VisionTransformer

    check_patches("vit", shape, patch_size)
    if width % heads:
        raise InputError(f"model 'vit': expected a width that {heads} heads divide, got {width}; change width or heads")
    token = pool == "token"
    net = VisionTransformer(
        img_size=shape.size,
        patch_size=patch_size,
        in_chans=shape.channels,
        num_classes=shape.num_classes,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=mlp_ratio,
        class_token=token,
        global_pool="token" if token else "avg",
        drop_rate=dropout,
        proj_drop_rate=dropout,
        drop_path_rate=drop_path or 0.0,
    )
    if (shape.size // patch_size) ** 2 + token <= SHORT_SEQUENCE:
        for block in net.blocks:
            setattr(block.attn, "fused_attn", False)  # noqa: B010  timm types a block as a tensor or a module
    return VisionModel(
        net,
        blocks=tuple(f"blocks.{n}" for n in range(depth)),
        layers=("mlp.fc1", "mlp.fc2"),
        positions="cls" if token else "all",
        prefix_tokens=int(token),
        tokens=(shape.size // patch_size) ** 2,
    )


def check_patches(name: str, shape: ImageShape, patch_size: int) -> None:
    """Raise InputError when patches of ``patch_size`` pixels do not tile an image of ``shape``."""
    if shape.size % patch_size:
        raise InputError(
            f"model '{name}': expected a patch size that divides {shape.size} pixels, got {patch_size}; "
            "change patch_size"
        )

"""A network of MLPs on residual paths without token mixing: a vision transformer with one token per image."""

from __future__ import annotations

from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel
from vitmem.models.vit import Count, Dropout, check_patches
from vitmem.registry import MODELS


@MODELS.register("residual_mlp", summary="residual MLPs on patches or the whole image, no token mixing")
def residual_mlp(
    shape: ImageShape,
    *,
    pool: Count = 1,
    patch_size: Count | None = None,
    width: Count = 256,
    hidden: Count = 512,
    depth: Count = 2,
    dropout: Dropout = 0.0,
    drop_path: Dropout | None = None,
) -> VisionModel:
    """Return residual MLPs on patches of ``patch_size`` pixels, the whole image if ``None``, after pooling by ``pool``.

    The blocks are those of ResMLP (Touvron et al. 2021) and of a transformer without token mixing: ``depth`` of them
    with tokens of ``width`` and ``hidden`` units. ``drop_path`` is the rate of stochastic depth in the last block; that
    of the first is 0, and it rises evenly. Raises InputError when the patches do not tile the image, or the pooled
    pixels do not tile a patch.
    """
    from vitmem.models.networks.residual_mlp import ResidualMlp

    patch = patch_size or shape.size
    check_patches("residual_mlp", shape, patch)
    if patch % pool:
        raise InputError(
            f"model 'residual_mlp': expected a 'pool' that divides a patch of {patch} pixels, got {pool}; change pool"
        )
    return VisionModel(
        ResidualMlp(shape, pool, patch, width, hidden, depth, dropout, drop_path or 0.0),
        blocks=tuple(f"blocks.{n}" for n in range(depth)),
        layers=("fc1", "fc2"),
        positions="all",
        prefix_tokens=0,
        tokens=(shape.size // patch) ** 2,
    )

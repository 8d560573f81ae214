"""Convert images of one dataset to the channels and the size of another, without inventing detail."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vitmem.data.unlabelled import grey
from vitmem.errors import InputError

COLOUR = 3
CHUNK = 1000


def fitted(images: Tensor, channels: int, size: int, name: str) -> Tensor:
    """Return ``images`` (n, c, s, s) uint8 of data ``name`` as (n, ``channels``, ``size``, ``size``) uint8.

    Grey is repeated in three channels; colour is converted to luminance. Larger images are reduced (bilinear,
    antialiased). Smaller ones are rejected: an enlarged image has no energy in the fine directions of a patch, and
    statistics would wrongly mark them as unused. Raises InputError for these and for other numbers of channels.
    """
    have, large = images.shape[1], images.shape[-1]
    if have != channels and {have, channels} != {1, COLOUR}:
        raise InputError(
            f"statistics: 'source': images of '{name}' have {have} channels, the network reads {channels}; name data "
            f"with {channels}"
        )
    if large < size:
        raise InputError(
            f"statistics: 'source': images of '{name}' have {large} pixels a side, the network reads {size}, and "
            f"enlarged ones have no fine structure; name data of {size} pixels or more (a folder with size: {size})"
        )
    if have == COLOUR and channels == 1:
        images = grey(images)
    if large > size:
        images = torch.cat([_reduced(some, size) for some in images.split(CHUNK)])
    return images.expand(-1, channels, -1, -1).contiguous()


def _reduced(images: Tensor, size: int) -> Tensor:
    small = functional.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)

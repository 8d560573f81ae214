"""Images of one data set in the channels and the size of another, where no pixel has to be made up."""

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

    Grey is repeated in three channels, of colour the luminance is taken. Larger images are reduced, each pixel a
    weighted mean of what lies under it (bilinear, antialiased). Smaller ones are refused: an enlarged image has nothing
    in the fine directions of a patch, and statistics would say that the network never needs them. Raises InputError
    for these and for other numbers of channels.
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

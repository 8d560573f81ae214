"""Binary outcomes of many items, packed into a short text for a row. Does not import torch.

With the outcomes of two rows on the same items a paired test needs no predictions, network or data.
"""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError


def packed(hits: NDArray[np.bool_]) -> str:
    """Return ``hits`` (n,) as ``n:`` and their bits in base64, eight items per byte, the first as the highest bit."""
    return f"{len(hits)}:{base64.b64encode(np.packbits(hits).tobytes()).decode()}"


def unpacked(text: str) -> NDArray[np.bool_]:
    """Return the hits (n,) from ``text``, the inverse of ``packed``; raises InputError for invalid text."""
    count, _, bits = text.partition(":")
    try:
        octets = np.frombuffer(base64.b64decode(bits, validate=True), np.uint8)
        if len(octets) != -(-int(count) // 8):
            raise ValueError
        return np.unpackbits(octets, count=int(count)).astype(np.bool_)
    except ValueError:
        raise InputError(f"outcomes: expected a count and as many bits in base64, got '{text[:40]}'") from None

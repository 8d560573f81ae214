"""What a language model says of windows: suffixes decoded greedily, and predicted token by token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitmem.language.data.windows.tokens import Windows
from vitmem.language.task import check_length
from vitmem.language.training.texts import decode, next_tokens


def predict_suffixes(net: nn.Module, windows: Windows, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return the likeliest token at each place of a suffix after the real ones, (n, L) int64, and the real one's loss.

    Losses are (n, L) nats. One pass over each window, those of a length together; both are zero behind a shorter
    suffix, as ``windows.gold`` is. When all tokens of a suffix are the likeliest, greedy decoding says it, and
    conversely, up to rounding. Raises InputError for a window longer than the model's positions.
    """
    likeliest, loss = torch.zeros_like(windows.gold), torch.zeros(windows.gold.shape)
    for rows, tokens, prefix in windows.buckets():
        check_length(net, tokens)
        said, losses = next_tokens(net, tokens, batch_size)
        length = tokens.shape[1] - prefix
        likeliest[rows, :length] = said[:, prefix - 1 :]
        loss[rows, :length] = losses[:, prefix - 1 :]
    return likeliest, loss


def recite_suffixes(net: nn.Module, windows: Windows, batch_size: int) -> Tensor:
    """Decode greedily from each prefix, exactly as many tokens as its suffix has: (n, L) int64, zeros behind them."""
    out = torch.zeros_like(windows.gold)
    for rows, tokens, prefix in windows.buckets():
        check_length(net, tokens)
        length = tokens.shape[1] - prefix
        out[rows, :length] = decode(net, tokens[:, :prefix], length, batch_size)
    return out

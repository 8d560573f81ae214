"""Which positions of an activation count, against slices written by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitmem.adapters.vision import VisionTask

BATCH = torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)
TOKENS = torch.arange(2 * 5 * 3.0).reshape(2, 5, 3)  # (B, T, f)


def rows_of(activation: Tensor, token: slice) -> Tensor:
    return torch.stack([activation[b, t] for b in range(2) for t in range(5)[token]])


def test_tokens() -> None:
    assert torch.equal(VisionTask("cls", 1).rows(TOKENS, BATCH), rows_of(TOKENS, slice(0, 1)))
    assert torch.equal(VisionTask("all", 1).rows(TOKENS, BATCH), rows_of(TOKENS, slice(None)))
    assert torch.equal(VisionTask("patches", 2).rows(TOKENS, BATCH), rows_of(TOKENS, slice(2, None)))
    assert torch.equal(VisionTask("patches", 0).rows(TOKENS, BATCH), rows_of(TOKENS, slice(None)))


def test_a_vector_is_one_position_and_a_map_one_a_place() -> None:
    for positions in ("cls", "all", "patches"):
        task = VisionTask(positions, 1)  # type: ignore[arg-type]
        assert torch.equal(task.rows(TOKENS[:, 0], BATCH), TOKENS[:, 0])
        grid = torch.arange(2 * 2 * 4 * 3.0).reshape(2, 2, 4, 3)  # (B, H, W, f)
        assert torch.equal(task.rows(grid, BATCH), torch.arange(48.0).reshape(16, 3))


def test_logits_and_labels_of_a_batch() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images, labels = torch.ones(2, 1, 2, 2), torch.tensor([2, 0])
    features = VisionTask().features(net, (images, labels))
    assert torch.equal(features, net(images)) and VisionTask().logits(net, features) is features
    assert VisionTask().given((images, labels)) is labels

"""Lines of progress: now and then, and what they count."""

from __future__ import annotations

import pytest
import torch

import vitmem.progress
from vitmem.progress import counted, now_and_then


def test_a_line_at_most_every_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(vitmem.progress.time, "monotonic", lambda: clock[0])
    said: list[str] = []
    tell = now_and_then(said.append, 10)
    for second in range(35):
        clock[0] = 100.0 + second
        tell(str(second))
    assert said == ["10", "20", "30"]


@pytest.mark.parametrize(
    "batches",
    [
        [(torch.zeros(600, 2), torch.zeros(600)), (torch.zeros(600, 2), torch.zeros(600)), (torch.zeros(1), None)],
        [{"input_ids": torch.zeros(600, 2)}, {"input_ids": torch.zeros(600, 2)}, {"input_ids": torch.zeros(1, 2)}],
    ],
)
def test_batches_are_counted_and_handed_on(batches: list[object]) -> None:
    said: list[str] = []
    assert list(counted(batches, said.append, "statistics", 1201, "images")) == batches
    assert said == ["statistics: 600 of 1,201 images", "statistics: 1,200 of 1,201 images"]

"""What the stages ask of a device."""

from __future__ import annotations

import pytest
import torch

from vitmem.bench.stages import reset_peak_memory


def test_cuda_begins_before_its_peak_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not used the GPU yet: its statistics know no device, and say 'Invalid device argument'."""
    begun: list[bool] = []

    def reset(device: torch.device) -> None:
        if not begun:
            raise RuntimeError("Invalid device argument")
        begun.append(device.index == 1)

    monkeypatch.setattr(torch.cuda, "init", lambda: begun.append(True))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    reset_peak_memory(torch.device("cuda:1"))
    assert begun == [True, True]

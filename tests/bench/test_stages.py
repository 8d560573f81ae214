"""What the stages ask of a device, and what they leave in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from weakref import ref

import pytest
import torch
from typer.testing import CliRunner

from vitmem.bench.stages import reset_peak_memory
from vitmem.cli.main import app
from vitmem.training import fit


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


def test_a_trainer_is_freed_before_the_next_training(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[int] = []
    trainers: list[ref[fit.Trainer]] = []

    class Counted(fit.Trainer):
        def __init__(self, **options: object) -> None:
            alive.append(sum(one() is not None for one in trainers))
            super().__init__(**options)  # type: ignore[arg-type]
            trainers.append(ref(self))

    monkeypatch.setattr(fit, "Trainer", Counted)
    suite = write(
        data={"name": "digits", "train": 40, "validation": 20},
        noise={"name": "symmetric", "rate": 0.1},
        model={"name": "vit", "width": 16, "depth": 1, "heads": 1},
        recipe={"epochs": 1, "precision": "32"},
        edits=[{"method": "none"}],
    )
    gc.disable()  # Python would free it at some time
    try:
        where = ("--results", str(tmp_path / "results"), "--store", str(tmp_path / "store"))
        assert CliRunner().invoke(app, ["run", str(suite), *where]).exit_code == 0
    finally:
        gc.enable()
    assert alive == [0, 0]

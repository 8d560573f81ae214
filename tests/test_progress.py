"""Lines of progress: now and then, what they count, and the job before them."""

from __future__ import annotations

import logging

import pytest
import torch

import vitmem.progress
from vitmem.progress import JobFormatter, counted, named, now_and_then


def test_a_line_at_most_every_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(vitmem.progress.time, "monotonic", lambda: clock[0])
    due, when = now_and_then(10), []
    for second in range(35):
        clock[0] = 100.0 + second
        if due():
            when.append(second)
    assert when == [10, 20, 30]


@pytest.mark.parametrize(
    "batches",
    [
        [(torch.zeros(600, 2), torch.zeros(600)), (torch.zeros(600, 2), torch.zeros(600)), (torch.zeros(1), None)],
        [{"input_ids": torch.zeros(600, 2)}, {"input_ids": torch.zeros(600, 2)}, {"input_ids": torch.zeros(1, 2)}],
    ],
)
def test_batches_are_counted_and_handed_on(batches: list[object], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vitmem")
    assert list(counted(batches, lambda: True, "statistics", 1201, "images")) == batches
    assert caplog.messages == ["statistics: 600 of 1,201 images", "statistics: 1,200 of 1,201 images"]


def test_the_name_of_a_job_stands_before_what_it_logs() -> None:
    record = logging.LogRecord("vitmem.x", logging.INFO, "x.py", 1, "layer %d", (3,), None)
    with named("digits seed 0"):
        assert JobFormatter().format(record) == "digits seed 0: layer 3"
    assert JobFormatter().format(record) == "layer 3"

"""Lines of progress: now and then, what they count, and the job before them."""

from __future__ import annotations

import io
import logging
import sys

import pytest
import torch

import vitmem.progress
from vitmem.progress import (
    JobFormatter,
    Relay,
    Step,
    Task,
    bars,
    bars_shown,
    counted,
    named,
    now_and_then,
    shown,
    shown_by,
    track,
)


def test_a_line_at_most_every_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(vitmem.progress.time, "monotonic", lambda: clock[0])
    due, when = now_and_then(10), []
    for second in range(35):
        clock[0] = 100.0 + second
        if due():
            when.append(second)
    assert when == [10, 20, 30]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(vitmem.progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    "batches",
    [
        [(torch.zeros(600, 2), torch.zeros(600)), (torch.zeros(600, 2), torch.zeros(600)), (torch.zeros(1), None)],
        [{"input_ids": torch.zeros(600, 2)}, {"input_ids": torch.zeros(600, 2)}, {"input_ids": torch.zeros(1, 2)}],
    ],
)
def test_batches_are_counted_and_handed_on(
    batches: list[object], clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vitmem")
    seen = []
    for batch in counted(batches, "statistics", 1201, "images"):
        seen.append(batch)
        clock[0] += 300
    assert seen == batches
    assert caplog.messages == [
        "statistics: 600 of 1,201 images, about 5 min left",
        "statistics: 1,200 of 1,201 images, less than a minute left",
        "statistics: 1,201 of 1,201 images",
    ]


def test_short_work_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vitmem")
    assert list(track([1, 2, 3], "layers", "layers")) == [1, 2, 3] and caplog.messages == []


def test_bars_of_this_process_and_of_a_worker(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    sent: list[Step] = []
    with bars() as on, Task("cells", 700, "cells") as cells:
        assert on and bars_shown()
        clock[0] += 60
        cells.advance(10, left=7200.0)
        with named("digits seed 0"), shown_by(Relay(sent.append)):  # as in another process
            assert not bars_shown()
            with Task("training", 30, "epochs") as training:
                clock[0] += 60
                training.advance(15)
        for step in sent[:2]:
            shown(step)
        vitmem.progress._display.get()._progress.refresh()  # type: ignore[attr-defined]
        text = screen.getvalue()
        shown(sent[2])
        shown(sent[2])  # a task that is over has no bar
    assert [step.done for step in sent] == [0, 15, None]
    assert "10 of 700 cells, about 2.0 h left" in text
    assert "digits seed 0: training" in text and "15 of 30 epochs, about 1 min left" in text


def test_no_bars_where_there_is_no_terminal_or_none_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with bars() as on:
        assert not on and not bars_shown()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bars(wanted=False) as on:
        assert not on


def test_the_name_of_a_job_stands_before_what_it_logs() -> None:
    record = logging.LogRecord("vitmem.x", logging.INFO, "x.py", 1, "layer %d", (3,), None)
    with named("digits seed 0"):
        assert JobFormatter().format(record) == "digits seed 0: layer 3"
    assert JobFormatter().format(record) == "layer 3"

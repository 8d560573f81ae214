"""An edit that is killed at any moment of naming its files: the same command makes what an undisturbed one makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import vitmem.offline.output as output
from vitmem.errors import InputError
from vitmem.offline.record import Record
from vitmem.offline.request import Request
from vitmem.offline.vision import edit_checkpoint

REQUEST = Request(model="timm/test_vit", size=32, method="svd", settings={"rank_fraction": 0.5}, blocks="last")


@pytest.fixture
def edit(tmp_path: Path) -> Callable[[], None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(timm.create_model("test_vit", img_size=32, num_classes=3).state_dict(), tmp_path / "net.safetensors")

    def run() -> None:
        edit_checkpoint(tmp_path / "net.safetensors", None, tmp_path / "e.safetensors", REQUEST)

    return run


def in_a_process_that_dies(run: Callable[[], None], operation: str, number: int, before: bool) -> int:
    """Run it in a child that is gone before or after its ``number``-th ``operation``; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    real, count = getattr(output if operation == "flush" else os, operation), 0

    def counted(*arguments: object) -> None:
        nonlocal count
        count += 1
        if before and count == number:
            os._exit(9)
        real(*arguments)
        if count == number:
            os._exit(9)

    setattr(output if operation == "flush" else output.os, operation, counted)
    try:
        run()
    finally:
        os._exit(0)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("operation", "number"), [("flush", 1), ("flush", 3), *(("replace", n) for n in (1, 2, 3, 4))])
def test_the_same_command_again(
    edit: Callable[[], None], operation: str, number: int, before: bool, tmp_path: Path
) -> None:
    assert in_a_process_that_dies(edit, operation, number, before) == 9
    finished = (tmp_path / "e.safetensors").exists()
    assert finished == ((operation, number, before) == ("replace", 4, False))
    if finished:
        with pytest.raises(InputError, match="exists"):
            edit()
    else:
        edit()
    assert not list(tmp_path.glob("*.partial"))
    Record.open(tmp_path / "e.json").undo(tmp_path / "back.safetensors")
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "net.safetensors").read_bytes()


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_rename_that_fails_leaves_nothing(
    edit: Callable[[], None], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = os.replace, 0

    def fails(*arguments: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(output.os, "replace", fails)
    with pytest.raises(KeyboardInterrupt):
        edit()
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_files_of_another_edit_stay(edit: Callable[[], None], tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text("mine")
    with pytest.raises(InputError, match=r"e\.json exists"):
        edit()
    assert (tmp_path / "e.json").read_text() == "mine"

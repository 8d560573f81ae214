"""Training is the same to the bit whether it was disturbed or not, and leaves what it promises."""

from __future__ import annotations

import csv
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError, VitmemError
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.training.checkpoint import resumable
from vitmem.training.fit import pick_device, train

NewModel = Callable[[], VisionModel]
RECIPE = Recipe(epochs=5, batch_size=48, lr=3e-3, warmup_epochs=1, crop=1, flip=True, curve_every=2)


def run(new_model: NewModel, noisy: NoisyImages, folder: Path, recipe: Recipe = RECIPE, seed: int = 5) -> None:
    folder.mkdir(exist_ok=True)
    train(new_model(), noisy, recipe, seed, folder, device="cpu")


def same(one: Path, other: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def die_in(epoch: int, when: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise ``error`` in ``epoch``: before its checkpoint is written, or just after."""
    keep = ModelCheckpoint.on_train_epoch_end

    def dying(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        if when == "after" or trainer.current_epoch != epoch:
            keep(self, trainer, pl_module)
        if trainer.current_epoch == epoch:
            raise error

    monkeypatch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)


@pytest.mark.parametrize("precision", ["bf16", "32"])
@pytest.mark.parametrize(("epoch", "when"), [(0, "before"), (2, "before"), (2, "after"), (4, "after")])
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(
    epoch: int,
    when: str,
    precision: str,
    new_model: NewModel,
    noisy: NoisyImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = RECIPE.model_copy(update={"precision": precision})
    run(new_model, noisy, tmp_path / "whole", recipe)
    with monkeypatch.context() as patch:
        die_in(epoch, when, RuntimeError("killed"), patch)
        with pytest.raises(RuntimeError, match="killed"):
            run(new_model, noisy, tmp_path / "killed", recipe)
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    torch.manual_seed(99)  # what the second sitting finds in the global generator does not count
    run(new_model, noisy, tmp_path / "killed", recipe)
    assert same(tmp_path / "whole", tmp_path / "killed")
    curves = [(tmp_path / run / "curves.csv").read_text() for run in ("whole", "killed")]
    assert curves[0] == curves[1]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:]),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", ["last.ckpt", "last.sha256"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_begins_the_training_anew_with_one_sentence(
    name: str,
    damage: str,
    new_model: NewModel,
    noisy: NoisyImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2, "curve_every": 1, "precision": "32"})
    run(new_model, noisy, tmp_path / "whole", recipe)
    with monkeypatch.context() as patch:
        die_in(0, "after", RuntimeError("killed"), patch)
        with pytest.raises(RuntimeError, match="killed"):
            run(new_model, noisy, tmp_path / "killed", recipe)
    DAMAGES[damage](tmp_path / "killed" / "checkpoints" / name)
    caplog.clear()
    train(new_model(), noisy, recipe, 5, tmp_path / "killed", device="cpu")
    told = [text for text in caplog.messages if "this training begins anew" in text]
    assert len(told) == 1 and "last.ckpt: it " in told[0], caplog.messages
    assert same(tmp_path / "whole", tmp_path / "killed")
    curves = [(tmp_path / run / "curves.csv").read_text() for run in ("whole", "killed")]
    assert curves[0] == curves[1]


def test_a_checkpoint_is_written_beside_its_place(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of temporary files may lie on another disk, which may be full or not there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    run(new_model, noisy, tmp_path / "run", RECIPE.model_copy(update={"epochs": 1}))
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


@pytest.mark.parametrize("number", [3, 4, 5])  # of the second checkpoint: both digests, itself, its digest alone
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_beside_the_name_of_a_checkpoint_is_resumed(
    moment: str,
    number: int,
    new_model: NewModel,
    noisy: NoisyImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 3, "precision": "32"})
    run(new_model, noisy, tmp_path / "whole", recipe)
    real, calls = os.replace, iter(range(9))

    def killed(source: Path, target: Path) -> None:
        last = Path(target).parent.name == "checkpoints" and next(calls) == number
        if moment == "after" or not last:
            real(source, target)
        if last:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(new_model, noisy, tmp_path / "killed", recipe)
    last = resumable(tmp_path / "killed" / "checkpoints")
    assert last is not None
    old = number == 3 or (number, moment) == (4, "before")
    assert torch.load(last, weights_only=True)["global_step"] == (5 if old else 10)
    caplog.clear()
    train(new_model(), noisy, recipe, 5, tmp_path / "killed", device="cpu")
    assert not [text for text in caplog.messages if "anew" in text]
    assert same(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("epoch", [1, 4])
def test_seconds_are_those_of_all_sittings(
    epoch: int, new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        die_in(epoch, "after", RuntimeError("killed"), patch)
        with pytest.raises(RuntimeError, match="killed"):
            run(new_model, noisy, tmp_path)
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    before = state["callbacks"]["Timer"]["time_elapsed"]["train"]
    seconds = train(new_model(), noisy, RECIPE, 5, tmp_path, device="cpu")
    assert seconds == before if epoch == 4 else seconds > before > 0  # after the fifth nothing is left to do


@pytest.mark.parametrize("epoch", [1, 2])
def test_steps_end_within_an_epoch_and_resume(
    epoch: int, new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(steps=12, batch_size=48, warmup_epochs=1, curve_every=1)  # 5 steps an epoch
    run(new_model, noisy, tmp_path / "whole", recipe)
    with monkeypatch.context() as patch:
        die_in(epoch, "after", RuntimeError("killed"), patch)
        with pytest.raises(RuntimeError, match="killed"):
            run(new_model, noisy, tmp_path / "killed", recipe)
    run(new_model, noisy, tmp_path / "killed", recipe)
    assert same(tmp_path / "whole", tmp_path / "killed")
    last = torch.load(tmp_path / "whole" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 12
    lines = list(csv.DictReader((tmp_path / "killed" / "curves.csv").open()))
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]


def test_what_the_curves_look_at_changes_no_weight(new_model: NewModel, noisy: NoisyImages, tmp_path: Path) -> None:
    for every in (1, 9):
        run(new_model, noisy, tmp_path / str(every), RECIPE.model_copy(update={"curve_every": every}))
    assert same(tmp_path / "1", tmp_path / "9")
    lines = [(tmp_path / every / "curves.csv").read_text().splitlines() for every in ("1", "9")]
    assert len(lines[0]) == 6 and lines[1] == [lines[0][0], lines[0][-1]]


def test_a_seed_decides_and_the_global_generator_is_put_back(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path
) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2})
    torch.manual_seed(4)
    before = torch.get_rng_state()
    run(new_model, noisy, tmp_path / "one", recipe)
    assert torch.equal(before, torch.get_rng_state())
    run(new_model, noisy, tmp_path / "other", recipe, seed=6)
    assert not same(tmp_path / "one", tmp_path / "other")


def test_what_is_left_behind(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(new_model, noisy, tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    folder = tmp_path / "run"
    assert not list(folder.rglob("*.tmp"))
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    lines = list(csv.DictReader((folder / "logs" / "version_0" / "metrics.csv").open()))
    logged = [line for line in lines if line["train_loss"]]
    assert [line["epoch"] for line in logged] == ["0", "1", "2", "3", "4"]
    curves = list(csv.DictReader((folder / "curves.csv").open()))
    assert [line["epoch"] for line in curves] == ["2", "4", "5"]
    assert float(curves[-1]["train_loss"]) == pytest.approx(float(logged[-1]["train_loss"]))
    names = ("memorized", "recovered", "clean_train", "validation")
    seen = [[line[name] for name in names] for line in lines if line["validation"]]
    assert seen == [[curve[name] for name in names] for curve in curves]


def test_it_learns(new_model: NewModel, noisy: NoisyImages, tmp_path: Path) -> None:
    recipe = Recipe(epochs=30, batch_size=50, lr=4e-3, warmup_epochs=2, curve_every=30, precision="32")
    run(new_model, noisy, tmp_path / "run", recipe)
    (line,) = csv.DictReader((tmp_path / "run" / "curves.csv").open())
    assert float(line["validation"]) > 0.5 and float(line["clean_train"]) > 0.5  # chance is 0.1


def test_a_loss_that_is_not_a_number_ends_it(new_model: NewModel, noisy: NoisyImages, tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, batch_size=48, lr=1e30, warmup_epochs=0, precision="32")
    with pytest.raises(VitmemError, match=r"the loss is (nan|inf) in epoch 0, step \d; lower lr"):
        run(new_model, noisy, tmp_path / "run", recipe)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_is_no_failure(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    keep = ModelCheckpoint.on_train_epoch_end

    def told(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        keep(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            signal.raise_signal(how)

    monkeypatch.setattr(ModelCheckpoint, "on_train_epoch_end", told)
    # a shell that put the tests into the background may have told them to ignore SIGINT
    monkeypatch.setitem(handlers, signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        run(new_model, noisy, tmp_path / "run")
    assert {one: signal.getsignal(one) for one in handlers} == handlers
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda:99", "CUDA devices; use --device cpu"), ("gpu", "got 'gpu'"), ("mps", "got 'mps'")],
)
def test_devices_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pick_device(name)
    assert pick_device("cpu").type == "cpu"

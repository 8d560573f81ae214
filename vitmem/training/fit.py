"""Train a network on given labels; a run that was killed goes on from its last whole epoch."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from safetensors.torch import save_file
from torch import nn

from vitmem.data.augmentation import Augmentation, Mixing
from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages
from vitmem.data.shares import Share
from vitmem.errors import InputError, VitmemError
from vitmem.files import write_whole
from vitmem.models.base import VisionModel
from vitmem.models.hidden import tied_layers
from vitmem.recipe import Recipe
from vitmem.specs import CURVES
from vitmem.training.checkpoint import CHECKPOINTS, LAST, resumable
from vitmem.training.curves import Curves
from vitmem.training.early import KeepBest
from vitmem.training.extras import close, loggers, user_callbacks
from vitmem.training.frozen import frozen
from vitmem.training.module import Classifier, Learner, TiedClassifier
from vitmem.training.optim import optimizer
from vitmem.training.processes import check_normalised, normalised, processes
from vitmem.training.schedule import check_scheduler
from vitmem.training.shown import ShowSteps
from vitmem.training.tied import TiedUnits

WEIGHTS = "model.safetensors"
# Lightning's names of the precisions of a recipe.
PRECISIONS: dict[str, Any] = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
# What Lightning warns of and is meant so, by the beginning of the message; all other warnings reach the user.
EXPECTED_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # the checkpoint in it is the one to go on from
    ("Checkpoint directory .* exists and is not empty", UserWarning),
    # a store may be moved between two sittings; nothing is asked of a best checkpoint
    ("The dirpath has changed from .* to ", UserWarning),
    # the device is the one that was asked for
    ("(GPU|TPU) available but not used", UserWarning),
    # on SLURM each worker is one process, started by submitit
    ("The `srun` command is available on your system but is not used", UserWarning),
    # it is the same on all devices
    ("It is recommended to use `self.log.*sync_dist=True", UserWarning),
    # the first step of float16 may be left out, to lower its loss scale
    ("Detected call of `lr_scheduler.step\\(\\)` before `optimizer.step\\(\\)`", UserWarning),
    # Lightning 2.6 asks newer versions of torch so itself
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning),
)


def pick_device(name: str) -> torch.device:
    """Return device ``name`` (auto, cpu, cuda, cuda:<n>); raises InputError when it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device: expected auto, cpu, cuda or cuda:<n>, got '{name}'") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device: expected auto, cpu, cuda or cuda:<n>, got '{name}'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device '{name}' was asked for, but this machine has {torch.cuda.device_count()} CUDA devices; "
            "use --device cpu"
        )
    return device


def emulates_bfloat16(device: torch.device) -> bool:
    """Say whether products of bfloat16 on ``device`` are slower than those of float32 (x86 before AVX-512)."""
    return device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def check_recipe(recipe: Recipe, net: nn.Module, device: torch.device) -> None:
    """Raise InputError for an optimizer or a scheduler that cannot be made, and for float16 on a processor."""
    if recipe.precision == "16" and device.type != "cuda":
        raise InputError(
            f"recipe: precision '16' (float16 with a loss scale) needs a CUDA device, got {device.type}; take bf16"
        )
    optimizer(net, recipe)
    if recipe.scheduler is not None:
        check_scheduler(recipe.scheduler)


def train(
    model: VisionModel,
    noisy: NoisyImages,
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    shown: NoisyImages | None = None,
    best: KeepBest | None = None,
    only: Collection[str] | None = None,
    callbacks: Sequence[Callback] = (),
    device: str = "auto",
) -> float:
    """Train ``model.net`` in place and leave weights, curves, logs and a checkpoint in ``folder``.

    The curves are those of the images ``shown`` (``None``: of ``noisy``). ``only`` has the names of the parameters to
    train (``None``: all), ``callbacks`` are further ones of Lightning. With ``best`` the weights that are left are
    those that it kept; with ``ema`` in the recipe they are averages, with ``example_tied`` they are scaled as the
    network counts at test. Returns the seconds that it took in all sittings; each point of the curves is logged. The
    same seed gives the same weights on one machine, resumed or not. Every process of the default process group, if
    there is one, calls this and reads its share of each batch; the weights are those of one process to rounding,
    without dropout, and the first one writes. Raises VitmemError when the loss or a weight is not a number, InputError
    when the device is not there, the network has no hidden units to tie, or its batch normalisation does not fit the
    options of the trainer, and for what ``check_recipe`` refuses.
    """
    check_normalised(model.net, recipe, len(noisy.given), lambda: pick_device(device))
    data = NoisyImagesModule(
        noisy,
        batch_size=recipe.batch_size,
        seed=seed,
        shown=shown,
        crop=recipe.crop,
        flip=recipe.flip,
        alone=not normalised(model.net),
        augmentation=Augmentation.of(recipe, noisy.data.size, noisy.data.mean),
        mixing=Mixing.of(recipe, noisy.data.num_classes, seed),
        share=Share.here(recipe.options.accumulate_grad_batches or 1),
    )
    parts = model.net, recipe, *steps(recipe, data.count), seed
    wanted = recipe.example_tied
    tied = TiedUnits(tied_layers(model, wanted), wanted, seed) if wanted else None
    module = TiedClassifier(*parts, tied=tied, index=noisy.data.train.index) if tied else Classifier(*parts)
    module.weights = None if data.share.whole else data.weights
    with tied.attached() if tied else nullcontext(), nullcontext() if only is None else frozen(model.net, only):
        return learn(module, data, folder, device=device, best=best, callbacks=callbacks)


def steps(recipe: Recipe, count: int) -> tuple[int, int]:
    """Return the steps of a whole training and of an epoch over ``count`` examples."""
    per_epoch = recipe.options.limited(-(-count // recipe.batch_size))
    return recipe.steps or per_epoch * (recipe.epochs or 0), per_epoch


def learn(
    module: Learner,
    data: LightningDataModule,
    folder: Path,
    *,
    device: str,
    best: KeepBest | None = None,
    callbacks: Sequence[Callback] = (),
) -> float:
    """Train ``module`` on ``data`` by its recipe, resumed if ``folder`` has a checkpoint; see ``train``."""
    place, options, share = pick_device(device), module.recipe.options, Share.here()
    check_recipe(module.recipe, module.net, place)
    _check_environment()
    last = _resumable(folder / CHECKPOINTS, share)
    timer = Timer(verbose=False)
    parts = options.accumulate_grad_batches or 1
    running = processes(place, share, options)
    every: list[Callback] = [
        *running.pop("callbacks"),
        Curves(folder / CURVES, writes=share.rank == 0),
        *([best] if best else []),
        timer,
        ShowSteps(),
        *user_callbacks(options),
        *callbacks,
        # saved when the module has said that the loss is a number and the others have measured the epoch
        ModelCheckpoint(
            folder / CHECKPOINTS, Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False
        ),
    ]
    with warnings.catch_warnings(), torch.random.fork_rng():
        for message, category in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        trainer = Trainer(
            **running,
            precision=PRECISIONS[module.recipe.precision],
            # not max_steps: with it, Lightning resumes a whole epoch's checkpoint as if it were half of one
            max_epochs=-(-module.total_steps // module.steps_per_epoch),
            check_val_every_n_epoch=module.recipe.curve_every,
            accumulate_grad_batches=parts,
            limit_train_batches=None if options.limit_train_batches is None else module.steps_per_epoch * parts,
            benchmark=options.benchmark,
            detect_anomaly=bool(options.detect_anomaly),
            logger=loggers(options.logger, folder) if share.rank == 0 else False,
            callbacks=every,
            **_quiet(),
        )
        try:
            _fit(trainer, module, data, last)
        finally:
            close(trainer.loggers)
    if share.rank:
        return timer.time_elapsed()
    if best:
        module.net.load_state_dict(best.weights)
    else:
        module.swap_average()
    module.finish()
    # clones, for safetensors refuses tensors that share their memory (tied weights)
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.net.state_dict().items()}
    # the loss of a step is that of the weights before it: the last step's own are looked at here
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise VitmemError(f"NaN or infinity in the weight '{name}' after the last step; lower lr or clip")
    write_whole(folder / WEIGHTS, lambda temporary: save_file(weights, temporary))
    return timer.time_elapsed()


def _fit(trainer: Trainer, module: Learner, data: LightningDataModule, last: Path | None) -> None:
    """Fit, from the checkpoint ``last`` on if there is one.

    Ctrl-C, which Lightning turns into an exit with SIGINT ignored from then on, stays Ctrl-C. SIGTERM, by which a
    cluster or ``kill`` ends a run, counts as the same: it is no failure of the network.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=None if last is None else str(last))
    except SystemExit as error:
        stopped = isinstance(error, SIGTERMException) or isinstance(error.__context__, KeyboardInterrupt)
        if not stopped:  # a network of a plug-in that calls sys.exit
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _check_environment() -> None:
    """Raise InputError for an environment variable that Lightning would take as an option of the training."""
    for name in sorted(os.environ):
        if name.startswith("PL_TRAINER_"):
            raise InputError(f"the environment variable {name} would change the training unseen; unset it")


def _resumable(folder: Path, share: Share) -> Path | None:
    """Return the checkpoint in ``folder`` that all processes go on from; the first one looks whether it is whole."""
    found = [resumable(folder) if share.rank == 0 else None]
    if share.ranks > 1:
        dist.broadcast_object_list(found)
    return found[0]


def _quiet() -> dict[str, Any]:
    """Return trainer options that leave nothing of Lightning's on the screen, and no work beside training."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 0,
        "deterministic": "warn",
        "use_distributed_sampler": False,
    }

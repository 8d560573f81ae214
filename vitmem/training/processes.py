"""Which processes a training has for Lightning: this one, or those of the default process group, one a device."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from vitmem.data.module import batch_sizes
from vitmem.data.shares import Share
from vitmem.errors import InputError
from vitmem.recipe import Recipe
from vitmem.trainer import TrainerOptions
from vitmem.training.checkpoint import WholeFiles


class Started(LightningEnvironment):
    """Process ``share.rank`` of ``share.ranks``, all of which have been started, whatever the environment tells of.

    Lightning would take the tasks of a Slurm job, of torchrun or of MPI for the processes of one training, write no log
    in those that are not the first, and start more by running the command line again.
    """

    creates_processes_externally = True

    def __init__(self, share: Share) -> None:
        super().__init__()
        self._rank = share.rank
        self.set_world_size(share.ranks)
        self.set_global_rank(share.rank)  # also that of the loggers, which Lightning reads when it is imported

    def local_rank(self) -> int:
        """Return the rank, as all processes are on this machine."""
        return self._rank

    def node_rank(self) -> int:
        """Return the number of this machine, the only one."""
        return 0


def processes(place: torch.device, share: Share, options: TrainerOptions) -> dict[str, Any]:
    """Return trainer options for device ``place`` of one process, or for the processes of the default group."""
    strategy: Strategy
    index = share.rank if share.ranks > 1 else place.index or 0
    if share.ranks == 1:
        strategy = SingleDeviceStrategy(device=torch.device("cuda", index) if place.type == "cuda" else place)
    else:
        strategy = DDPStrategy(find_unused_parameters=options.strategy == "ddp_find_unused_parameters_true")
    devices = list(range(share.ranks)) if share.ranks > 1 else [index]
    return {
        "accelerator": "gpu" if place.type == "cuda" else "cpu",
        "devices": devices if place.type == "cuda" else share.ranks,
        "strategy": strategy,
        "sync_batchnorm": share.ranks > 1,
        "plugins": [Started(share), WholeFiles()],
        "callbacks": [Signals()] if share.ranks > 1 else [],
    }


class Signals(Callback):
    """Has SIGTERM stop a training of several processes as Ctrl-C does; those that are not the first ignore it.

    Lightning would wait within its handler for the others, which are at another step.
    """

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Take the signal over; Lightning puts back what was there before when the training ends."""
        own = signal.default_int_handler if trainer.is_global_zero else signal.SIG_IGN
        signal.signal(signal.SIGTERM, own)


def normalised(net: nn.Module) -> bool:
    """Say whether ``net`` has batch normalisation."""
    return any(isinstance(module, BatchNorm) for module in net.modules())


def check_normalised(net: nn.Module, recipe: Recipe, count: int, device: Callable[[], torch.device]) -> None:
    """Raise InputError when batch normalisation of ``net`` would see something else than the images of a whole batch.

    ``count`` is the number of training images.
    """
    options = recipe.options
    devices, parts = options.devices or 1, options.accumulate_grad_batches or 1
    if devices * parts == 1 or not normalised(net):
        return
    if parts > 1:
        raise InputError(
            "trainer: 'accumulate_grad_batches': batch normalisation needs a whole batch at once, and the network has "
            "it; leave it out, or take a network without batch normalisation"
        )
    if device().type != "cuda":
        raise InputError(
            "trainer: 'devices': batch normalisation over several devices needs GPUs, and the network has it; take one "
            "device, or a network without batch normalisation"
        )
    if (least := min(batch_sizes(count, recipe.batch_size, alone=False))) < devices:
        raise InputError(
            f"trainer: 'devices': batch normalisation over {devices} devices needs as many images in each batch, and "
            f"one of {count} images by {recipe.batch_size} has {least}; take fewer devices or another batch_size"
        )

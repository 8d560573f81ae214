"""What a recipe adds to a training by name: loggers of Lightning, and callbacks of the user's."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from vitmem.errors import InputError
from vitmem.registry import PLUGIN_FILE
from vitmem.trainer import TrainerOptions

# The project of Weights & Biases and the experiment of MLflow; a training is a run of the name of its id.
PROJECT = "vitmem"


def loggers(names: Sequence[str] | None, folder: Path) -> list[Logger]:
    """Return the loggers ``names`` of the training in ``folder``; ``None`` are CSV, and TensorBoard's if installed.

    CSV writes ``logs/version_<n>`` for the n-th sitting. Weights & Biases and MLflow write where their own environment
    variables say. Raises what ``check_loggers`` raises.
    """
    if names is None:
        names = ("csv", "tensorboard") if importlib.util.find_spec("tensorboard") else ("csv",)
    check_loggers(names)
    run = folder.name.partition(".")[0]
    make = {
        "csv": lambda: CSVLogger(folder, name="logs", flush_logs_every_n_steps=1),
        "tensorboard": lambda: TensorBoardLogger(str(folder), name="tensorboard", version=""),
        "wandb": lambda: WandbLogger(project=PROJECT, name=run),
        "mlflow": lambda: MLFlowLogger(experiment_name=PROJECT, run_name=run),
    }
    return [make[name]() for name in names]


def check_loggers(names: Sequence[str]) -> None:
    """Raise InputError for a logger that is not installed, or without a place to write to."""
    for name in names:
        if name != "csv" and importlib.util.find_spec(name) is None:
            raise InputError(f"trainer: 'logger': {name} is not installed; pip install {name}, or take 'csv'")
        if name == "mlflow" and not os.environ.get("MLFLOW_TRACKING_URI"):  # newer ones refuse a folder
            raise InputError(
                "trainer: 'logger': mlflow logs where MLFLOW_TRACKING_URI says, which is not set; set it, such as to "
                "sqlite:///mlflow.db or http://localhost:5000"
            )


def close(made: Sequence[Logger]) -> None:
    """End the runs of ``made``: Weights & Biases would log the next training into the same one."""
    for logger in made:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def user_callbacks(options: TrainerOptions) -> list[Callback]:
    """Return the callbacks that ``options`` name, made without arguments.

    A module is a plug-in's file or an installed one. Raises InputError for one that is not there, and for another thing
    than a callback of Lightning.
    """
    found = []
    for path in options.callbacks or ():
        module, _, name = path.rpartition(".")
        try:
            callback = getattr(sys.modules.get(PLUGIN_FILE + module) or importlib.import_module(module), name)()
        except (ImportError, AttributeError, TypeError) as error:
            raise InputError(f"trainer: 'callbacks': '{path}' cannot be made: {error}") from error
        if not isinstance(callback, Callback):
            raise InputError(f"trainer: 'callbacks': expected a callback of Lightning, '{path}' is none")
        found.append(callback)
    return found

"""Options of Lightning's trainer that a recipe or the command line may give. Does not import torch.

Options of one kind change no result beyond rounding (``excluded`` fields): they enter no id, seed or row, and ``-T``
sets them. The others are part of a training and of its id: only a suite sets them. What a recipe or the project sets
itself is in ``ELSEWHERE``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from vitmem.errors import InputError, unknown
from vitmem.specs import Spec, explain

RESUMED = "a training always leaves a checkpoint an epoch and goes on from it"
SCREEN = "what is shown is the project's own; '--no-progress' hides bars"
CURVES = "the curves look at all wrong labels and a random part of the other images"
# Option of Lightning's trainer -> what is used in its place.
ELSEWHERE: Mapping[str, str] = {
    "max_epochs": "use 'epochs' of the recipe",
    "min_epochs": "use 'epochs' of the recipe",
    "max_steps": "use 'steps' of the recipe",
    "min_steps": "use 'steps' of the recipe",
    "max_time": "use '--until' of 'vitmem work'; the next worker goes on",
    "fast_dev_run": "use 'steps' of the recipe",
    "precision": "use 'precision' of the recipe",
    "gradient_clip_val": "use 'clip' of the recipe",
    "check_val_every_n_epoch": "use 'curve_every' of the recipe",
    "val_check_interval": "use 'curve_every' of the recipe",
    "overfit_batches": "use 'train' of the data, for training on a few images",
    "limit_val_batches": CURVES,
    "limit_test_batches": CURVES,
    "limit_predict_batches": CURVES,
    "num_sanity_val_steps": CURVES,
    "accelerator": "use '--device'",
    "num_nodes": "a training runs on one machine; 'vitmem submit' gives each machine trainings of its own",
    "sync_batchnorm": "it is on where several GPUs train a network with batch normalisation",
    "use_distributed_sampler": "several devices share each batch of the one-device run",
    "reload_dataloaders_every_n_epochs": "each epoch has an order of its own already",
    "deterministic": "a training is deterministic wherever torch can be",
    "inference_mode": "the curves are measured in it",
    "default_root_dir": "use '--store'",
    "enable_checkpointing": RESUMED,
    "plugins": RESUMED,
    "enable_progress_bar": SCREEN,
    "enable_model_summary": SCREEN,
    "barebones": SCREEN,
    "log_every_n_steps": "the loss is logged once an epoch",
    "profiler": "use 'detect_anomaly' for faults and torch.profiler in one of 'callbacks' for time",
    "enable_autolog_hparams": "rows have all parameters",
    "model_registry": "a trained network is in the store",
}


class TrainerOptions(Spec):
    """Options for Lightning's trainer, by its own names; ``None`` is the project's default.

    Not in ids: ``devices`` are the processes of one training on this machine, ``strategy`` is that of several,
    ``accumulate_grad_batches`` the parts in which a device reads its share of a batch (a recipe's ``batch_size`` is
    that of one optimizer step, whatever these say), ``logger`` names loggers, ``benchmark`` lets cuDNN choose its
    algorithms, ``detect_anomaly`` finds the operation behind a NaN. In ids: ``gradient_clip_algorithm``,
    ``limit_train_batches`` (a number or a share of an epoch's batches), and ``callbacks`` by import path, which are
    made without arguments.
    """

    devices: int | None = Field(default=None, gt=0, exclude=True)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] | None = Field(default=None, exclude=True)
    accumulate_grad_batches: int | None = Field(default=None, gt=0, exclude=True)
    logger: tuple[Literal["csv", "tensorboard", "wandb", "mlflow"], ...] | None = Field(default=None, exclude=True)
    benchmark: bool | None = Field(default=None, exclude=True)
    detect_anomaly: bool | None = Field(default=None, exclude=True)
    gradient_clip_algorithm: Literal["norm", "value"] | None = None
    limit_train_batches: int | float | None = Field(default=None, gt=0)
    callbacks: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_others(cls, given: Any) -> Any:
        for name in given if isinstance(given, dict) else ():
            if name in ELSEWHERE:
                raise ValueError(f"'{name}' is not an option here: {ELSEWHERE[name]}")
        return given

    @field_validator("gradient_clip_algorithm")
    @classmethod
    def name_norm_once(cls, value: str | None) -> str | None:
        """Return ``None`` for the norm, which is clipped anyway, so that equal trainings have one id."""
        return None if value == "norm" else value

    @field_validator("limit_train_batches")
    @classmethod
    def limit_or_share(cls, value: int | float | None) -> int | float | None:
        """Return ``None`` for the whole epoch; a share is at most 1."""
        if isinstance(value, float) and value > 1:
            raise ValueError(f"expected a number of batches or a share in (0, 1], got {value:g}")
        return None if isinstance(value, float) and value == 1 else value

    @field_validator("callbacks")
    @classmethod
    def paths(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return ``None`` for an empty list; a path has a module and a name."""
        for path in value or ():
            if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
                raise ValueError(f"expected an import path such as my_module.MyCallback, got '{path}'")
        return value or None

    def over(self, others: TrainerOptions | None) -> TrainerOptions:
        """Return these options, with those of ``others`` that are not given here."""
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return (others or TrainerOptions()).model_copy(update=given)

    def limited(self, batches: int) -> int:
        """Return how many of an epoch's ``batches`` are trained on."""
        limit = self.limit_train_batches
        if limit is None:
            return batches
        return min(limit, batches) if isinstance(limit, int) else max(int(limit * batches), 1)


def from_command_line(given: Mapping[str, Any], option: str) -> TrainerOptions:
    """Return the options ``given`` by name; raises InputError, beginning with ``option``, for wrong ones.

    One that changes results is refused: it would be in no id.
    """
    fields = TrainerOptions.model_fields
    for name in given:
        if name in ELSEWHERE:
            raise InputError(f"{option}: '{name}' is not an option here: {ELSEWHERE[name]}")
        if name not in fields:
            raise unknown(f"option of a trainer in {option}:", name, fields)
        if not fields[name].exclude:
            raise InputError(
                f"{option}: '{name}' changes what is trained; write it into the suite, under 'trainer' of the recipe"
            )
    try:
        return TrainerOptions.model_validate(dict(given))
    except ValidationError as error:
        raise InputError(explain(error, option, TrainerOptions)) from None

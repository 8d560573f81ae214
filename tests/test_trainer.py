"""Options of Lightning's trainer: each is allowed or refused with what is used in its place; ids know one kind."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from lightning.pytorch import Trainer

from vitmem.bench.cells import as_config
from vitmem.bench.sweep import parsed
from vitmem.errors import InputError
from vitmem.recipe import Recipe
from vitmem.specs import digest
from vitmem.trainer import ELSEWHERE, TrainerOptions, from_command_line

PLAIN = Recipe(epochs=3)
FREE = {
    "devices": 4, "strategy": "ddp", "accumulate_grad_batches": 2, "logger": ["csv", "wandb"], "benchmark": True,
    "detect_anomaly": True,
}  # fmt: skip
COUNTED = {"gradient_clip_algorithm": "value", "limit_train_batches": 0.5, "callbacks": ["my_module.Mine"]}


def recipe(**options: Any) -> Recipe:
    return parsed({"epochs": 3, "trainer": options}, Recipe, "suite.yaml: recipe")


def test_every_option_of_lightning_is_in_one_of_the_tables() -> None:
    theirs = inspect.signature(Trainer.__init__).parameters.keys() - {"self"}
    ours = TrainerOptions.model_fields.keys()
    assert ours | ELSEWHERE.keys() == theirs and not ours & ELSEWHERE.keys()
    assert ours == FREE.keys() | COUNTED.keys()


def test_options_that_change_no_result_are_in_no_id() -> None:
    for some in (FREE, *({name: value} for name, value in FREE.items())):
        assert digest(recipe(**some)) == digest(PLAIN) and as_config(recipe(**some)) == as_config(PLAIN)
        assert from_command_line(some, "-T") == recipe(**some).trainer
    assert recipe(**FREE).options.devices == 4


@pytest.mark.parametrize("name", COUNTED)
def test_options_that_change_results_are_in_ids_and_only_in_a_suite(name: str) -> None:
    one = {name: COUNTED[name]}
    assert digest(recipe(**one)) != digest(PLAIN)
    assert as_config(recipe(**one, **FREE))["trainer"] == one
    with pytest.raises(InputError, match=f"-T: '{name}' changes what is trained; write it into the suite"):
        from_command_line(one, "-T")


@pytest.mark.parametrize(
    "same", [{"gradient_clip_algorithm": "norm"}, {"limit_train_batches": 1.0}, {"callbacks": []}, {}]
)
def test_defaults_have_one_id(same: dict[str, Any]) -> None:
    assert digest(recipe(**same)) == digest(PLAIN)


def test_the_command_line_wins() -> None:
    suite = recipe(devices=2, logger=["csv"], limit_train_batches=5)
    found = suite.with_options(from_command_line({"devices": 3}, "-T")).options
    assert (found.devices, found.logger, found.limit_train_batches) == (3, ("csv",), 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 3}, "'max_epochs' is not an option here: use 'epochs' of the recipe"),
        ({"gradient_clip_val": 1.0}, "use 'clip' of the recipe"),
        ({"num_nodes": 2}, "a training runs on one machine"),
        ({"devces": 2}, "devces'; did you mean 'devices'"),
        ({"devices": 0}, "greater than 0, got 0"),
        ({"strategy": "fsdp"}, "'ddp_find_unused_parameters_true', got 'fsdp'"),
        ({"logger": ["comet"]}, "'wandb' or 'mlflow', got 'comet'"),
        ({"limit_train_batches": 1.5}, r"a share in \(0, 1\], got 1.5"),
        ({"callbacks": ["Mine"]}, "an import path such as my_module.MyCallback, got 'Mine'"),
        ({"callbacks": ["a.b.c()"]}, "an import path"),
    ],
)
def test_others_are_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe(**options)
    if options.keys() & FREE.keys() or not options.keys() & COUNTED.keys():
        with pytest.raises(InputError, match=message):
            from_command_line(options, "-T")


@pytest.mark.parametrize(("limit", "left"), [(None, 7), (3, 3), (9, 7), (0.5, 3), (0.01, 1)])
def test_how_much_of_an_epoch_is_trained_on(limit: float | None, left: int) -> None:
    assert TrainerOptions(limit_train_batches=limit).limited(7) == left

"""What every method that is told what to forget keeps to: its seed, one sentence for what is wrong, an effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.training import EditTrainer, cycle_batches, forget_retain_sets
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited
from vitmem.registry import EDITS

Problem = Callable[..., EditContext]
FORGETTING = sorted(e.name for e in EDITS.entries() if e.uses == "retain + forget" and e.role == "method")
TRUSTED = ["eu_k", "finetune"]
# Settings at which the small network forgets within a second; what is not named is at its default.
STRONG: dict[str, dict[str, Any]] = {
    "balanced_subnet": {"ratio": 0.1, "epochs": 40, "batch_size": 12},
    "del": {"epochs": 60, "batch_size": 16},
    "eu_k": {"steps": 300, "batch_size": 16, "lr": 0.1},
    "finetune": {"steps": 600, "batch_size": 16, "lr": 0.3},
    "neggrad_plus": {"alpha": 0.8, "epochs": 30, "lr": 0.02, "batch_size": 12, "cap": 2.0},
    "salun": {"epochs": 40, "lr": 0.1, "batch_size": 12},
    "scrub": {"alpha": 0.1, "ascent_epochs": 3, "epochs": 9, "lr": 0.02, "batch_size": 4, "forget_batch_size": 3},
    "ssd": {},
}
SMALL = {"balanced_subnet": {"ratio": 0.1}, "eu_k": {"steps": 3}, "finetune": {"steps": 3}, "del": {"epochs": 2}}


def run(name: str, context: EditContext, **options: Any) -> EditResult:
    return EDITS.get(name).parse({**SMALL.get(name, {}), **options}, "edit").edit(context)


def accuracy(context: EditContext, result: EditResult) -> tuple[float, float]:
    """The share of what was to be forgotten, and of what was to be kept, that is still said."""
    assert context.examples is not None
    examples = context.examples()
    with edited(context.model, result.weights), torch.no_grad():
        found = [float((context.model(x).argmax(1) == y).double().mean()) for x, y in (examples.forget, examples.keep)]
    return found[0], found[1]


@pytest.mark.parametrize("name", STRONG)
def test_what_is_to_be_forgotten_is_and_the_rest_is_kept(problem: Problem, name: str) -> None:
    context = problem()
    assert accuracy(context, EditResult()) == (1.0, 1.0)
    forget, keep = accuracy(context, run(name, context, **STRONG[name]))
    assert forget <= 0.6 and keep >= 0.85, (forget, keep)


@pytest.mark.parametrize("name", [*FORGETTING, *TRUSTED])
def test_the_seed_decides_and_nothing_else_is_touched(problem: Problem, name: str) -> None:
    context = problem()
    state = {key: value.clone() for key, value in context.model.state_dict().items()}
    context.model.train()
    before = torch.get_rng_state()
    one, same = run(name, context, **BATCH.get(name, {})), run(name, problem(), **BATCH.get(name, {}))
    assert torch.equal(before, torch.get_rng_state()) and context.model.training
    assert all(torch.equal(value, state[key]) for key, value in context.model.state_dict().items())
    other = run(name, problem(seed=2), **BATCH.get(name, {}))
    for path, weight in one.weights.items():
        assert weight.shape == context.layers[path].weight.shape and not weight.requires_grad  # type: ignore[union-attr]
        assert torch.equal(weight, same.weights[path])
        assert torch.equal(weight, other.weights[path]) == (name == "ssd")  # which draws nothing
    assert one.passes > 0


# Batches that differ from seed to seed on sixty points.
BATCH = {name: {"batch_size": 8} for name in ("del", "eu_k", "finetune", "neggrad_plus", "salun", "scrub")}


@pytest.mark.parametrize("name", ["del", "eu_k", "finetune", "neggrad_plus", "salun", "scrub", "ssd"])
def test_low_precision_weights_stay_so_and_move(problem: Problem, name: str) -> None:
    context = problem(dtype=torch.float32)
    context.model.to(torch.bfloat16)
    assert context.examples is not None
    plain = context.examples()
    low = [(x.to(torch.bfloat16), y) for x, y in (plain.forget, plain.keep)]
    context = replace(context, examples=lambda: replace(plain, forget=low[0], keep=low[1]))
    for path, weight in run(name, context, **STRONG[name]).weights.items():
        assert weight.dtype == torch.bfloat16
        assert not torch.equal(weight, context.layers[path].weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*FORGETTING, *TRUSTED])
def test_one_sentence_for_what_cannot_be_done(problem: Problem, name: str) -> None:
    context = problem()
    with pytest.raises(InputError, match=f"'{name}' needs examples to forget and to keep"):
        run(name, replace(context, examples=None))
    assert context.examples is not None
    full = context.examples()
    x, y = full.keep
    with pytest.raises(InputError, match=f"'{name}' has no example to keep"):
        run(name, replace(context, examples=lambda: replace(full, keep=(x[:0], y[:0]))))
    broken = replace(full, forget=(full.forget[0] * torch.nan, full.forget[1]), keep=(x * torch.nan, y))
    with pytest.raises(VitmemError, match=rf"^{name}: .*(not finite|NaN)"):
        run(name, replace(context, examples=lambda: broken))


@pytest.mark.parametrize("name", FORGETTING)
def test_nothing_to_forget(problem: Problem, name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' has no example to forget: none is known"):
        run(name, problem(forget=0))
    with pytest.raises(InputError, match=r"no example to forget: the share 0.01 of the 12 known ones rounds to none"):
        run(name, problem(), discovery=0.01)


@pytest.mark.parametrize("name", TRUSTED)
def test_trusted_data_are_enough(problem: Problem, name: str) -> None:
    one, other = run(name, problem(forget=0)), run(name, problem())
    assert all(torch.equal(weight, other.weights[path]) for path, weight in one.weights.items())
    assert one.passes == other.passes


@pytest.mark.parametrize("name", ["del", "eu_k", "finetune", "neggrad_plus", "salun", "scrub"])
def test_divergence_is_told(problem: Problem, name: str) -> None:
    with pytest.raises(VitmemError, match=rf"^{name}: "):
        run(name, problem(), lr=1e200)


def test_discovery_is_a_share_drawn_by_the_seed(problem: Problem) -> None:
    def rows(discovery: float | None, seed: int = 1) -> set[float]:
        return set(forget_retain_sets(problem(seed=seed), "ssd", discovery).forget[0][:, 0].tolist())

    assert [len(rows(share)) for share in (None, 1.0, 0.5, 0.25)] == [12, 12, 6, 3]
    assert rows(0.25) < rows(0.5) < rows(1.0) == rows(None)
    assert rows(0.5) == rows(0.5) != rows(0.5, seed=2)


def test_an_endless_order_holds_every_row_once_a_pass() -> None:
    order = cycle_batches(5, 2, torch.Generator().manual_seed(0))
    for _ in range(3):
        assert sorted(torch.cat([next(order) for _ in range(3)]).tolist()) == [0, 1, 2, 3, 4]


def test_losses_and_outputs_cost_one_pass(problem: Problem) -> None:
    context = problem()
    assert context.examples is not None
    examples = context.examples()
    trainer = EditTrainer(context, "scrub", examples, lr=0.1)
    run_once = trainer.forward_once(3)
    inputs = examples.keep[0][:3]
    assert run_once(inputs) is run_once(inputs) and trainer.examples_processed == 3

"""The contract of noise plug-ins: kept by every registered noise model, and noticed when it is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from vitmem.contracts.noise import CLAUSES, LABELS, PROBABILITIES, check_noise
from vitmem.errors import InputError
from vitmem.noise.base import Labels, NoiseContext
from vitmem.registry import NOISES

BUILT_IN = [entry.name for entry in NOISES.entries()]
MATRIX = (0.9 * np.eye(10) + 0.1 * np.roll(np.eye(10), 1, axis=1)).tolist()
PARAMS: dict[str, dict[str, Any]] = {
    "none": {},
    "human": {"column": "labels"},
    "human_twin": {"column": "labels"},
    "human_mixture": {"column": "labels", "rate": 0.1},
    "column": {"column": "labels"},
    "file": {"path": LABELS},
    "interclass_confusion": {"rate": 0.3, "classes": [3, 5]},
    "transition": {"matrix": MATRIX},
    "pmd": {"rate": 0.3, "probabilities": PROBABILITIES},
    "pmd_legacy": {"factor": 1.43, "probabilities": PROBABILITIES},
    "ambiguous": {"rate": 0.3, "probabilities": PROBABILITIES},
}
VARIANTS = [
    ("symmetric", {"rate": 0.3, "stratified": True}),
    ("asymmetric", {"rate": 0.3, "rate_basis": "overall"}),
    ("instance_dependent", {"tau": 0.3, "projection": "shared"}),
    ("pmd", {"rate": 0.3, "probabilities": PROBABILITIES, "type": 3}),
]
Noise = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "params"), [*((name, PARAMS.get(name, {"rate": 0.3})) for name in BUILT_IN), *VARIANTS]
)
def test_the_contract_is_kept(name: str, params: dict[str, Any]) -> None:
    checks = check_noise(name, params)
    assert [check.name for check in checks] == ["draws labels", *CLAUSES]
    assert [check for check in checks if not check.ok] == []


@pytest.fixture
def register() -> Iterator[Callable[[Noise], str]]:
    """Register a plug-in for the length of a test; its name is returned."""
    names = []

    def add(function: Noise) -> str:
        NOISES.register(function.__name__, summary="for this test")(function)
        names.append(function.__name__)
        return function.__name__

    yield add
    for name in names:
        NOISES.discard(name)


def no_seed(clean: Labels, context: NoiseContext, rng: np.random.Generator) -> Labels:
    return (clean + (np.random.default_rng().random(len(clean)) < 0.5)) % 10


def global_generator(clean: Labels, context: NoiseContext, rng: np.random.Generator) -> Labels:
    return (clean + (np.random.rand(len(clean)) < 0.5)) % 10


def writes(clean: Labels, context: NoiseContext, rng: np.random.Generator) -> Labels:
    context.extra_labels["labels"][:] += 1
    return clean


def always(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: float) -> Labels:
    return (clean + 1) % 10


def doubled(clean: Labels, context: NoiseContext, rng: np.random.Generator, *, rate: float) -> Labels:
    return (clean + (rng.random(len(clean)) < 2 * rate)) % 10


@pytest.mark.parametrize(
    ("noise", "params", "clause", "detail"),
    [
        (no_seed, {}, "the same seed gives the same labels", "two draws of one seed differ"),
        (global_generator, {}, "global generators are unchanged", "changed the global generator of numpy"),
        (global_generator, {}, "the same seed gives the same labels", "two draws of one seed differ"),
        (writes, {}, "inputs are not modified", "it wrote to the further labels"),
        (always, {"rate": 0.2}, "rate 0 leaves every label right", "at rate 0, 2000 of 2000 labels are wrong"),
        (doubled, {"rate": 0.2}, "no more labels are wrong than the rate says", r"at rate 0\.2, (39|40|41)"),
    ],
)
def test_a_broken_clause_is_named(
    noise: Noise, params: dict[str, Any], clause: str, detail: str, register: Callable[[Noise], str]
) -> None:
    broken = {check.name: check.detail for check in check_noise(register(noise), params) if not check.ok}
    assert re.search(detail, broken[clause]), broken


def test_what_works_on_whole_data_only(register: Callable[[Noise], str]) -> None:
    def needs_all(clean: Labels, context: NoiseContext, rng: np.random.Generator) -> Labels:
        return clean if len(set(clean.tolist())) == context.num_classes else clean[:1]

    broken = [check.name for check in check_noise(register(needs_all), {}) if not check.ok]
    assert broken == ["classes without images and a single image"]


def test_labels_that_cannot_be_drawn_end_the_list(register: Callable[[Noise], str]) -> None:
    def outside(clean: Labels, context: NoiseContext, rng: np.random.Generator) -> Labels:
        return clean + 1

    (check,) = check_noise(register(outside), {})
    assert check.name == "draws labels" and "expected classes 0 to 9, got 1 to 10" in check.detail


def test_unknown_names_and_parameters() -> None:
    with pytest.raises(InputError, match="did you mean 'symmetric'"):
        check_noise("symetric", {})
    with pytest.raises(InputError, match="'rate': field required"):
        check_noise("symmetric", {})

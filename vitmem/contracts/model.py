"""The contract of a model plug-in, run on random images or text, for ``vitmem check model``."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from vitmem.contracts.base import Check, require, run_clause
from vitmem.contracts.fixtures import EXAMPLES, ImageModelUnderTest, ModelUnderTest
from vitmem.contracts.structure import editable_parts
from vitmem.kfac import Factors, edited, find_layers
from vitmem.models.base import architecture_of
from vitmem.registry import MODELS, PROTOCOLS

# Different batch sizes may differ in the last bits of float32, not in more.
TOLERANCE = 1e-4


def check_model(name: str, params: Mapping[str, Any]) -> list[Check]:
    """Run the contract of the registered model ``name`` on 12 random images (3, 32, 32) in 10 classes, or rows of text.

    The clause on blocks and layers lists them in its detail, one line for similar neighbours. A clause that fails or
    raises is reported as broken, and the next one still runs; a network that cannot be built ends the list. Raises
    InputError for an unknown name, parameter or protocol.
    """
    entry = MODELS.get(name).parse(params, "check model")
    checks: list[Check] = []
    subject: list[ModelUnderTest] = []
    kind = PROTOCOLS.get(entry.protocols[0]).under_test or ImageModelUnderTest
    run_clause("build", lambda: subject.append(kind(entry, architecture_of(name))), checks)
    for clause, test in CLAUSES.items() if subject else ():
        run_clause(clause, lambda test=test: test(subject[0]), checks)  # type: ignore[misc]
    return checks


def _same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _forward(subject: ModelUnderTest) -> None:
    for inputs in (subject.inputs, subject.inputs[:1]):
        with torch.no_grad():
            logits = subject.forward(subject.net, inputs)
        expected = (len(inputs), *subject.expected)
        require(isinstance(logits, Tensor), f"expected logits as a tensor, got {type(logits).__name__}")
        require(tuple(logits.shape) == expected, f"expected logits {expected}, got {tuple(logits.shape)}")
        require(bool(torch.isfinite(logits).all()), "NaN or infinity in the logits")


def _seed(subject: ModelUnderTest) -> None:
    before = torch.get_rng_state()
    one, same, other = (subject.again(seed).net.state_dict() for seed in (1, 1, 2))
    require(torch.equal(before, torch.get_rng_state()), "building it changed torch's global generator")
    require(_same_weights(one, same), "two networks of one seed differ")
    require(not _same_weights(one, other), "networks of two seeds are equal: the seed is not used")


def _patterns(subject: ModelUnderTest) -> None:
    for pattern in subject.model.editable("all"):
        find_layers(subject.net, [pattern])


def _gradients(subject: ModelUnderTest) -> None:
    net = copy.deepcopy(subject.net).requires_grad_(True)
    logits = subject.forward(net, subject.inputs)
    functional.cross_entropy(logits.flatten(0, -2), subject.labels.flatten()).backward()
    for path, layer in find_layers(net, subject.model.editable("all")).items():
        gradient = layer.weight.grad
        reached = isinstance(gradient, Tensor) and bool(torch.isfinite(gradient).all() and gradient.any())
        require(reached, f"no gradient reaches layer '{path}'")


def _positions(subject: ModelUnderTest) -> None:
    if not isinstance(subject, ImageModelUnderTest) or subject.model.positions != "cls":
        return
    require(subject.model.prefix_tokens > 0, "positions 'cls' need a class token: prefix_tokens is 0")
    for path, layer in subject.whole.layers.items():
        detail = f"positions 'cls': layer '{path}' counts {layer.count} positions of {EXAMPLES} images"
        require(layer.count == EXAMPLES, detail)


def _batch_size(subject: ModelUnderTest) -> None:
    whole, parts = subject.whole, subject.statistics(EXAMPLES // 3)
    for path, layer in whole.layers.items():
        other = parts.layers[path]
        for side, one, two in (("A", layer.a, other.a), ("G", layer.g, other.g)):
            apart = float((one - two).norm() / one.norm().clamp_min(1e-300))
            require(apart < TOLERANCE, f"layer '{path}': {side} differs by {apart:.1e} between batch sizes")


def _identity(subject: ModelUnderTest) -> None:
    before = subject.logits()
    with edited(subject.net, subject.edit(mass=1.0).weights):
        require(torch.equal(subject.logits(), before), "the edit that keeps every pair changes the logits")


def _undo(subject: ModelUnderTest) -> None:
    state = {key: value.clone() for key, value in subject.net.state_dict().items()}
    before = subject.logits()
    with edited(subject.net, subject.edit(mass=0.5).weights):
        require(not torch.equal(subject.logits(), before), "an edit of half the mass changes no logit")
    require(_same_weights(subject.net.state_dict(), state), "weights differ after the edit is undone")
    require(torch.equal(subject.logits(), before), "logits differ after the edit is undone")


def _save_and_load(subject: ModelUnderTest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        weights, factors = Path(folder) / "model.safetensors", Path(folder) / "factors.safetensors"
        state = subject.net.state_dict()
        save_file({key: value.clone().contiguous() for key, value in state.items()}, weights)
        net = subject.again(3).net.eval()
        net.load_state_dict(load_file(weights))
        with torch.no_grad():
            require(
                torch.equal(subject.forward(net, subject.inputs), subject.logits()), "loaded weights give other logits"
            )
        saved = subject.whole
        saved.save(factors)
        loaded = Factors.load(factors)
        loaded.check(net, find_layers(net, subject.model.editable("all")))
        for path, layer in saved.layers.items():
            same = torch.equal(layer.a, loaded.layers[path].a) and torch.equal(layer.g, loaded.layers[path].g)
            require(same, f"layer '{path}': loaded statistics differ from the saved ones")


CLAUSES: Mapping[str, Callable[[ModelUnderTest], object]] = {
    "blocks and layers": editable_parts,
    "forward shape": _forward,
    "weights come from the seed": _seed,
    "patterns match": _patterns,
    "gradients reach every editable layer": _gradients,
    "positions": _positions,
    "statistics do not depend on batch size": _batch_size,
    "edit at mass 1 is the identity": _identity,
    "edit then undo is bit-exact": _undo,
    "save and load agree": _save_and_load,
}

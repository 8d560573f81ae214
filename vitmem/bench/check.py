"""The contract of a model plug-in, run on random images or text: what ``vitmem check model`` prints."""

from __future__ import annotations

import copy
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import vitmem.catalogue  # noqa: F401  fills the registries with the built-in entries
from vitmem.adapters.language import language_task
from vitmem.adapters.vision import VisionTask
from vitmem.errors import VitmemError
from vitmem.kfac import Factors, Task, edited, find_layers, fit
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.kfac import kfac
from vitmem.models.base import ImageShape, LanguageModel, Network, TextShape, VisionModel, build, build_language
from vitmem.registry import MODELS
from vitmem.specs import Spec

IMAGES = ImageShape(channels=3, size=32, num_classes=10)
TEXT = TextShape(vocab_size=50, length=16)
EXAMPLES = 12
# Two batchings of the same examples may differ in the last bits of float32, not in more.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Check:
    """One clause of the contract: its name, whether it is kept, and why not."""

    name: str
    ok: bool
    detail: str = ""


class _Broken(Exception):
    """A clause is not kept; the text says what was found."""


def check_model(name: str, params: Mapping[str, Any]) -> list[Check]:
    """Run the contract of the registered model ``name`` on 12 random images (3, 32, 32) in 10 classes, or rows of text.

    A clause that fails or raises is reported as broken and the next one runs all the same; a network that
    cannot be built ends the list. Raises InputError for an unknown name or parameter.
    """
    spec = MODELS.get(name).parse(params, "check model")
    checks: list[Check] = []
    subject: list[_Subject] = []
    kind = _Texts if MODELS.get(name).info.get("modality") == "text" else _Images
    _run("build", lambda: subject.append(kind(name, spec)), checks)
    for clause, test in CLAUSES.items() if subject else ():
        _run(clause, lambda test=test: test(subject[0]), checks)  # type: ignore[misc]
    return checks


def _run(name: str, test: Callable[[], None], checks: list[Check]) -> None:
    try:
        test()
    except _Broken as broken:
        checks.append(Check(name, False, str(broken)))
    except Exception as error:  # whatever a plug-in raises is its clause's failure
        text = " ".join(str(error).split())
        detail = text if isinstance(error, VitmemError) else f"{type(error).__name__}: {text}"
        checks.append(Check(name, False, detail))
    else:
        checks.append(Check(name, True))


class _Subject(ABC):
    """The network under test, how to build it again, and twelve examples with what they are to give."""

    inputs: Tensor
    labels: Tensor
    expected: tuple[int, ...]  # shape of the logits of one example

    def __init__(self, name: str, spec: Spec) -> None:
        self.name, self.spec = name, spec
        self.model = self.again(0)
        generator = torch.Generator().manual_seed(0)
        self.draw(generator)
        self.net = copy.deepcopy(self.model.net).eval()
        # some architectures start with a head or a branch of zeros, which no gradient passes
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))

    @abstractmethod
    def again(self, seed: int) -> Network:
        """Build it anew."""

    @abstractmethod
    def draw(self, generator: torch.Generator) -> None:
        """Draw inputs (12, ...) and labels (12, ...)."""

    @abstractmethod
    def forward(self, net: nn.Module, inputs: Tensor) -> Any:
        """Return what should be logits (n, *expected)."""

    @abstractmethod
    def task(self) -> tuple[Task, Callable[[Tensor, Tensor], Any]]:
        """Return how the engine reads a batch, and what makes one of inputs and labels."""

    @torch.no_grad()
    def logits(self) -> Tensor:
        logits: Tensor = self.forward(self.net, self.inputs)
        return logits

    def layers(self) -> dict[str, nn.Module]:
        return find_layers(self.net, self.model.editable("all"))

    def statistics(self, batch_size: int) -> Factors:
        task, batch = self.task()
        pairs = zip(self.inputs.split(batch_size), self.labels.split(batch_size), strict=True)
        # diagonals are enough for an edit and spare the spectra of wide layers
        return fit(self.net, self.layers(), task, (batch(*pair) for pair in pairs), seed=0, moments="diagonal")

    @cached_property
    def whole(self) -> Factors:
        """The statistics of all examples in one batch."""
        return self.statistics(EXAMPLES)

    def edit(self, mass: float) -> EditResult:
        context = EditContext(self.net, self.layers(), self.whole, seed=0)
        return kfac(context, mass=mass, importance="identity")


class _Images(_Subject):
    """Images (12, 3, 32, 32) with labels (12,)."""

    model: VisionModel
    expected = (IMAGES.num_classes,)

    def again(self, seed: int) -> VisionModel:
        return build(self.name, self.spec, IMAGES, seed)

    def draw(self, generator: torch.Generator) -> None:
        self.inputs = torch.randn(EXAMPLES, IMAGES.channels, IMAGES.size, IMAGES.size, generator=generator)
        self.labels = torch.randint(IMAGES.num_classes, (EXAMPLES,), generator=generator)

    def forward(self, net: nn.Module, inputs: Tensor) -> Any:
        return net(inputs)

    def task(self) -> tuple[Task, Callable[[Tensor, Tensor], Any]]:
        positions = VisionTask(positions=self.model.positions, prefix_tokens=self.model.prefix_tokens)
        return positions, lambda images, labels: (images, labels)


class _Texts(_Subject):
    """Rows of tokens (12, 16), each to be continued by the next token."""

    expected = (TEXT.length, TEXT.vocab_size)

    def again(self, seed: int) -> LanguageModel:
        return build_language(self.name, self.spec, TEXT, seed)

    def draw(self, generator: torch.Generator) -> None:
        self.inputs = torch.randint(TEXT.vocab_size, (EXAMPLES, TEXT.length), generator=generator)
        self.labels = self.inputs.roll(-1, 1)

    def forward(self, net: nn.Module, inputs: Tensor) -> Any:
        return net(input_ids=inputs, use_cache=False).logits

    def task(self) -> tuple[Task, Callable[[Tensor, Tensor], Any]]:
        return language_task(self.net), lambda tokens, _labels: {"input_ids": tokens}


def _require(kept: bool, found: str) -> None:
    if not kept:
        raise _Broken(found)


def _same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _forward(subject: _Subject) -> None:
    for inputs in (subject.inputs, subject.inputs[:1]):
        with torch.no_grad():
            logits = subject.forward(subject.net, inputs)
        expected = (len(inputs), *subject.expected)
        _require(isinstance(logits, Tensor), f"expected logits as a tensor, got {type(logits).__name__}")
        _require(tuple(logits.shape) == expected, f"expected logits {expected}, got {tuple(logits.shape)}")
        _require(bool(torch.isfinite(logits).all()), "NaN or infinity in the logits")


def _seed(subject: _Subject) -> None:
    before = torch.get_rng_state()
    one, same, other = (subject.again(seed).net.state_dict() for seed in (1, 1, 2))
    _require(torch.equal(before, torch.get_rng_state()), "building it changed torch's global generator")
    _require(_same_weights(one, same), "two networks of one seed differ")
    _require(not _same_weights(one, other), "networks of two seeds are equal: the seed is not used")


def _patterns(subject: _Subject) -> None:
    for pattern in subject.model.editable("all"):
        find_layers(subject.net, [pattern])


def _gradients(subject: _Subject) -> None:
    net = copy.deepcopy(subject.net).requires_grad_(True)
    logits = subject.forward(net, subject.inputs)
    functional.cross_entropy(logits.flatten(0, -2), subject.labels.flatten()).backward()
    for path, layer in find_layers(net, subject.model.editable("all")).items():
        gradient = layer.weight.grad
        reached = isinstance(gradient, Tensor) and bool(torch.isfinite(gradient).all() and gradient.any())
        _require(reached, f"no gradient reaches layer '{path}'")


def _positions(subject: _Subject) -> None:
    if not isinstance(subject, _Images) or subject.model.positions != "cls":
        return
    _require(subject.model.prefix_tokens > 0, "positions 'cls' need a class token: prefix_tokens is 0")
    for path, layer in subject.whole.layers.items():
        found = f"positions 'cls': layer '{path}' counts {layer.count} positions of {EXAMPLES} images"
        _require(layer.count == EXAMPLES, found)


def _batch_size(subject: _Subject) -> None:
    whole, parts = subject.whole, subject.statistics(EXAMPLES // 3)
    for path, layer in whole.layers.items():
        other = parts.layers[path]
        for side, one, two in (("A", layer.a, other.a), ("G", layer.g, other.g)):
            apart = float((one - two).norm() / one.norm().clamp_min(1e-300))
            _require(apart < TOLERANCE, f"layer '{path}': {side} differs by {apart:.1e} between batch sizes")


def _identity(subject: _Subject) -> None:
    before = subject.logits()
    with edited(subject.net, subject.edit(mass=1.0).weights):
        _require(torch.equal(subject.logits(), before), "the edit that keeps every pair changes the logits")


def _undo(subject: _Subject) -> None:
    state = {key: value.clone() for key, value in subject.net.state_dict().items()}
    before = subject.logits()
    with edited(subject.net, subject.edit(mass=0.5).weights):
        _require(not torch.equal(subject.logits(), before), "an edit of half the mass changes no logit")
    _require(_same_weights(subject.net.state_dict(), state), "weights differ after the edit is undone")
    _require(torch.equal(subject.logits(), before), "logits differ after the edit is undone")


def _save_and_load(subject: _Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        weights, factors = Path(folder) / "model.safetensors", Path(folder) / "factors.safetensors"
        state = subject.net.state_dict()
        save_file({key: value.clone().contiguous() for key, value in state.items()}, weights)
        net = subject.again(3).net.eval()
        net.load_state_dict(load_file(weights))
        with torch.no_grad():
            _require(
                torch.equal(subject.forward(net, subject.inputs), subject.logits()), "loaded weights give other logits"
            )
        saved = subject.whole
        saved.save(factors)
        loaded = Factors.load(factors)
        loaded.check(net, find_layers(net, subject.model.editable("all")))
        for path, layer in saved.layers.items():
            same = torch.equal(layer.a, loaded.layers[path].a) and torch.equal(layer.g, loaded.layers[path].g)
            _require(same, f"layer '{path}': loaded statistics differ from the saved ones")


CLAUSES: Mapping[str, Callable[[_Subject], None]] = {
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

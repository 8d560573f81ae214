"""The contract of a model plug-in, run on random images: what ``vitmem check model`` prints."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import vitmem.catalogue  # noqa: F401  fills the registries with the built-in entries
from vitmem.adapters.vision import VisionTask
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import Factors, edited, find_layers, fit
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.kfac import kfac
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import MODELS
from vitmem.specs import Spec

SHAPE = ImageShape(channels=3, size=32, num_classes=10)
IMAGES = 12
# Two batchings of the same images may differ in the last bits of float32, not in more.
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
    """Run the contract of the registered model ``name`` on 12 random images (3, 32, 32) in 10 classes.

    A clause that fails or raises is reported as broken and the next one runs all the same; a network that
    cannot be built ends the list. Raises InputError for an unknown name or parameter.
    """
    if MODELS.get(name).info.get("modality", "image") != "image":
        raise InputError(f"check model: '{name}' reads text; the contract is that of image models")
    spec = MODELS.get(name).parse(params, "check model")
    checks: list[Check] = []
    subject: list[_Subject] = []
    _run("build", lambda: subject.append(_Subject.of(name, spec)), checks)
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


@dataclass
class _Subject:
    """The network under test, how to build it again, and a batch: images (12, 3, 32, 32), labels (12,)."""

    model: VisionModel
    again: Callable[[int], VisionModel]
    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, name: str, spec: Spec) -> _Subject:
        def again(seed: int) -> VisionModel:
            return build(name, spec, SHAPE, seed)

        model = again(0)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(IMAGES, SHAPE.channels, SHAPE.size, SHAPE.size, generator=generator)
        labels = torch.randint(SHAPE.num_classes, (IMAGES,), generator=generator)
        net = copy.deepcopy(model.net).eval()
        # some architectures start with a head or a branch of zeros, which no gradient passes
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        return cls(replace(model, net=net), again, images, labels)

    @property
    def net(self) -> nn.Module:
        return self.model.net

    @torch.no_grad()
    def logits(self) -> Tensor:
        logits: Tensor = self.net(self.images)
        return logits

    def layers(self) -> dict[str, nn.Module]:
        return find_layers(self.net, self.model.editable("all"))

    def statistics(self, batch_size: int) -> Factors:
        batches = zip(self.images.split(batch_size), self.labels.split(batch_size), strict=True)
        task = VisionTask(positions=self.model.positions, prefix_tokens=self.model.prefix_tokens)
        # diagonals are enough for an edit and spare the spectra of wide layers
        return fit(self.net, self.layers(), task, batches, seed=0, moments="diagonal")

    @cached_property
    def whole(self) -> Factors:
        """The statistics of all images in one batch."""
        return self.statistics(IMAGES)

    def edit(self, mass: float) -> EditResult:
        context = EditContext(self.net, self.layers(), self.whole, seed=0)
        return kfac(context, mass=mass, importance="identity")


def _require(kept: bool, found: str) -> None:
    if not kept:
        raise _Broken(found)


def _same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _forward(subject: _Subject) -> None:
    for images in (subject.images, subject.images[:1]):
        with torch.no_grad():
            logits = subject.net(images)
        expected = (len(images), SHAPE.num_classes)
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
    functional.cross_entropy(net(subject.images), subject.labels).backward()
    for path, layer in find_layers(net, subject.model.editable("all")).items():
        gradient = layer.weight.grad
        reached = isinstance(gradient, Tensor) and bool(torch.isfinite(gradient).all() and gradient.any())
        _require(reached, f"no gradient reaches layer '{path}'")


def _positions(subject: _Subject) -> None:
    if subject.model.positions != "cls":
        return
    _require(subject.model.prefix_tokens > 0, "positions 'cls' need a class token: prefix_tokens is 0")
    for path, layer in subject.whole.layers.items():
        found = f"positions 'cls': layer '{path}' counts {layer.count} positions of {IMAGES} images"
        _require(layer.count == IMAGES, found)


def _batch_size(subject: _Subject) -> None:
    whole, parts = subject.whole, subject.statistics(IMAGES // 3)
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
            _require(torch.equal(net(subject.images), subject.logits()), "loaded weights give other logits")
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

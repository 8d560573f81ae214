"""The contract of an edit method, run on a small network with memorized labels, for ``vitmem check method``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.adapters.vision import VisionTask, image_logits, image_losses
from vitmem.contracts.base import Check, require, run_clause
from vitmem.edits.base import EditContext, EditResult, Examples, Weights
from vitmem.entries import Edit
from vitmem.errors import VitmemError
from vitmem.kfac import Factors, edited, find_layers, fit_for, weight_matrix
from vitmem.recipe import ExampleTied
from vitmem.registry import EDITS

# Example-tied settings of the second layer, for a method that needs them.
TIED = ExampleTied()
COUNT, WRONG, CLASSES = 60, 12, 3
EDITED = ("0", "2")


@dataclass(frozen=True)
class EditUnderTest:
    """A method with its parameters, and the context to edit."""

    method: Edit
    context: EditContext

    def edit(self, **changes: Any) -> EditResult:
        """Edit with ``changes`` of the context; the method may return anything."""
        result: EditResult = self.method.edit(replace(self.context, **changes))
        return result

    def state(self) -> dict[str, Tensor]:
        """Return copies of the parameters of the network by name, (p, q) or (p,) each."""
        return {key: value.clone() for key, value in self.context.model.state_dict().items()}


def check_method(name: str, params: Mapping[str, Any]) -> list[Check]:
    """Run the contract of the registered method ``name`` on the first two of a network's three linear layers.

    The network is trained on 60 points in 3 classes; the 12 with wrong labels are the forget set. A clause that fails
    or raises is reported as broken, and the next one still runs; a method that does not edit ends the list. Without
    ``params`` the method's own example is run. Raises InputError for an unknown name or parameter.
    """
    entry = EDITS.get(name)
    method = entry.parse(params or entry.example, "check method")
    checks: list[Check] = []
    subject = EditUnderTest(method, _context(method))
    run_clause("edits", lambda: _edits(subject), checks)
    for clause, test in CLAUSES.items() if checks[0].ok else ():
        run_clause(clause, lambda test=test: test(subject), checks)  # type: ignore[misc]
    return checks


def _untrained() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, CLASSES))


@cache
def _trained() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return a trained network, its points (n, 6) and their given labels (n,), the first of which are wrong."""
    points = torch.randn(COUNT, 6, generator=torch.Generator().manual_seed(0))
    given = points[:, :CLASSES].argmax(1)
    given[:WRONG] = (given[:WRONG] + 1) % CLASSES
    net = _untrained()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        functional.cross_entropy(net(points), given).backward()
        optimizer.step()
    return net.eval(), points, given


def _context(method: Edit) -> EditContext:
    """Return the context of ``method`` in a suite: layers if it edits blocks, statistics if it reads them."""
    trained, points, given = _trained()
    net = copy.deepcopy(trained)
    layers = find_layers(net, EDITED) if method.edits_blocks else {}
    kept = points[WRONG:], given[WRONG:]

    def proxy(share: float) -> tuple[Tensor, Tensor]:
        count = round(share * COUNT)
        return kept[0][:count], kept[1][:count]

    def measured(weights: Weights) -> Tensor:
        with torch.no_grad(), edited(net, weights):
            logits: Tensor = net(kept[0])
        return logits

    examples = Examples((points[:WRONG], given[:WRONG]), kept, image_losses, image_logits, proxy)

    def statistics() -> Factors:
        return _statistics(net, layers, (points, given), method)

    def second() -> Factors:
        return _statistics(net, layers, kept, method)

    return EditContext(
        net,
        layers,
        statistics() if method.needs is not None else None,
        seed=0,
        second=second() if any(one.reads_second for one in method.chain()) else None,
        recollect=statistics,
        evaluate=lambda weights: float((measured(weights).argmax(1) == kept[1]).double().mean()),
        loss=lambda weights: float(functional.cross_entropy(measured(weights), kept[1])),
        examples=lambda: examples,
        initial=_untrained,
        tied={EDITED[1]: TIED} if any(one.needs_tied for one in method.chain()) else {},
    )


def _statistics(net: nn.Module, layers: Mapping[str, nn.Module], batch: tuple[Tensor, Tensor], method: Edit) -> Factors:
    """Return the statistics of ``layers`` with the moments that the method's importance reads."""
    task = VisionTask("all", 0)
    moments = "plain" if method.needs is None else method.needs.moments
    return fit_for(net, layers, task, lambda: [batch], moments, seed=0)


def _edits(subject: EditUnderTest) -> None:
    result = subject.edit()
    require(isinstance(result, EditResult), f"expected an EditResult, got {type(result).__name__}")


def _weights_fit(subject: EditUnderTest) -> None:
    layers = subject.context.layers
    for path, new in subject.edit().weights.items():
        require(path in layers or not layers, f"it edits '{path}', which is not one of {', '.join(layers)}")
        layer, _, name = path.rpartition(".")
        model = subject.context.model
        old = model.get_submodule(layer).bias if name == "bias" else weight_matrix(model.get_submodule(path))
        assert isinstance(old, Tensor)
        require(new.shape == old.shape, f"'{path}': expected a weight {tuple(old.shape)}, got {tuple(new.shape)}")
        require(new.dtype == old.dtype, f"'{path}': expected {old.dtype}, got {new.dtype}")
        require(bool(torch.isfinite(new).all()), f"'{path}': NaN or infinity in its new weight")


def _something_changes(subject: EditUnderTest) -> None:
    state = subject.state()
    with edited(subject.context.model, subject.edit().weights):
        after = subject.state()
    require(any(not torch.equal(after[key], value) for key, value in state.items()), "no weight has changed")


def _reports(subject: EditUnderTest) -> None:
    result = subject.edit()
    matrices = {path for path in result.weights if path.rpartition(".")[2] != "bias"}
    require(result.reports.keys() == matrices, f"reports of {sorted(result.reports)}, weights of {sorted(matrices)}")
    for path in matrices:
        old = weight_matrix(subject.context.model.get_submodule(path)).double()
        change, reported = float((result.weights[path].double() - old).norm()), result.reports[path].change_norm
        require(
            abs(change - reported) <= 1e-3 * float(old.norm()),
            f"'{path}': its norm changes by {change:g}, not {reported:g}",
        )


def _same_seed(subject: EditUnderTest) -> None:
    one = subject.edit(seed=1).weights
    torch.rand(1)  # a global generator somewhere else
    other = subject.edit(seed=1).weights
    same = one.keys() == other.keys() and all(torch.equal(one[path], other[path]) for path in one)
    require(same, "two edits of one seed differ")


def _generator(subject: EditUnderTest) -> None:
    before = torch.get_rng_state()
    subject.edit()
    require(torch.equal(before, torch.get_rng_state()), "it changed torch's global generator; seed one of its own")


def _untouched(subject: EditUnderTest) -> None:
    model, state = subject.context.model, subject.state()
    subject.edit()
    require(all(torch.equal(v, state[k]) for k, v in model.state_dict().items()), "it wrote to the model's own weights")
    require(not any(m.training for m in model.modules()), "it left the model in training mode")


def _lacking(subject: EditUnderTest) -> None:
    try:
        subject.edit(factors=None, evaluate=None, loss=None, examples=None)
    except VitmemError as error:
        require("\n" not in str(error), "its error on missing statistics and examples is longer than a line")


def _not_finite(subject: EditUnderTest) -> None:
    model = copy.deepcopy(subject.context.model)
    layers = {path: model.get_submodule(path) for path in subject.context.layers}
    weight_matrix(model.get_submodule(EDITED[1]))[0, 0] = torch.nan
    try:
        result = subject.edit(model=model, layers=layers)
        broken = [path for path, new in result.weights.items() if not torch.isfinite(new).all()]
        require(not broken, f"'{', '.join(broken)}': NaN in a trained weight is passed on")
    except VitmemError as error:
        require("\n" not in str(error), "its error on NaN is longer than a line")


CLAUSES: Mapping[str, Callable[[EditUnderTest], None]] = {
    "new weights fit the layers that it is given": _weights_fit,
    "something changes": _something_changes,
    "each new weight has a correct report": _reports,
    "the same seed gives the same weights": _same_seed,
    "torch's global generator is unchanged": _generator,
    "the model is unchanged": _untouched,
    "without statistics and examples it works or says why": _lacking,
    "NaN in a weight is reported or removed": _not_finite,
}

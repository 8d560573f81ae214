"""Difference in memorized between a method and data-free shrinkage at no loss. Does not import torch.

Settings are compared within one set of layers: the ``layers`` of an edit, or the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vitmem.reports.aggregate import Estimate, Group, Training, at, canonical_text, difference
from vitmem.reports.choose import Choice, choose
from vitmem.reports.naming import variant

# Methods that shrink the weights without looking at an example.
SHRINKAGE = ("uniform_scaling", "svd", "random_basis")
MEMORIZED = at("metrics", "memorized")
ABLATED = at("metrics", "ablated_memorized")
OWN = "the model's own"
# Shares of fewer than 10^9 images differ by more.
DIGITS = 9
Layers = tuple[str, ...] | None


def shrinks(group: Group) -> bool:
    """Return whether an edit uses no data; a random basis combined with one of K-FAC's does."""
    return group.method in SHRINKAGE and all(key.startswith("statistics.") for key in variant(group))


def layers_of(group: Group) -> Layers:
    """Return the layers that an edit names; ``None`` for the model's own."""
    named = group.config["edit"].get("layers")
    return None if named is None else tuple(named)


def layers_text(layers: Layers) -> str:
    """Return the layers as a text."""
    return OWN if layers is None else "+".join(layers)


@dataclass(frozen=True)
class Site:
    """One set of layers of one training: its unedited model ``base`` and the settings that edit these layers."""

    training: Training
    base: Group
    layers: Layers
    groups: tuple[Group, ...]

    @property
    def layers_text(self) -> str:
        """The layers as a text."""
        return layers_text(self.layers)

    def settings(self, method: str, **parameters: Any) -> list[Group]:
        """Return the settings of ``method`` with these parameters besides its strength, with plain statistics."""
        settings: dict[tuple[int, str], list[Group]] = {}
        for group in self.groups:
            own = variant(group)
            read = {key: value for key, value in own.items() if key.startswith("statistics.")}
            if group.method == method and {k: v for k, v in own.items() if k not in read} == parameters:
                settings.setdefault((len(read), canonical_text(read)), []).append(group)
        return settings[min(settings)] if settings else []

    def chosen(self, groups: Sequence[Group], drop: float = 0.0) -> Choice:
        """Return the choice among ``groups`` with the largest fall of memorized.

        At most ``drop``, a fraction, of selection accuracy may be lost.
        """
        return choose(groups, self.base, drop)

    def left(self, choice: Choice) -> Group:
        """Return the result of ``choice``: the unedited model if every setting loses accuracy."""
        return self.base if choice.group is None else choice.group

    @cached_property
    def shrinkage(self) -> list[Group]:
        """The settings of all methods that shrink the weights."""
        return [group for method in SHRINKAGE for group in self.settings(method)]

    @cached_property
    def best_shrinkage(self) -> Choice:
        """The choice among all settings that shrink the weights."""
        return self.chosen(self.shrinkage)

    def lead(self, choice: Choice, drop: float = 0.0) -> Estimate | None:
        """Return memorized under the best shrinkage minus memorized under ``choice``, paired over the seeds.

        ``drop`` is the selection accuracy that the shrinkage may lose, a fraction.
        """
        best = self.chosen(self.shrinkage, drop) if drop else self.best_shrinkage
        return difference(self.left(best), self.left(choice), MEMORIZED)

    def lead_by_seed(self, choice: Choice) -> dict[int, float]:
        """Return ``lead`` by common seed, rounded so that equal values are exactly equal when ranked."""
        ours, theirs = self.left(choice).values(MEMORIZED), self.left(self.best_shrinkage).values(MEMORIZED)
        return {seed: round(theirs[seed] - value, DIGITS) for seed, value in ours.items() if seed in theirs}

    @cached_property
    def ablated(self) -> Group | None:
        """The settings with headroom metrics (edited matrices at zero), of the most layers and seeds."""
        measured = [group for group in self.groups if group.values(ABLATED)]
        return max(measured, key=lambda group: (edited_layers(group), len(group.rows)), default=None)


def sites(training: Training) -> list[Site]:
    """Return the sets of layers edited in ``training``, the model's own first; empty without a base."""
    if training.base is None:
        return []
    layer_sets: dict[str, tuple[Layers, list[Group]]] = {}
    for group in training.edits:
        layers = layers_of(group)
        layer_sets.setdefault(canonical_text(layers), (layers, []))[1].append(group)
    ordered = sorted(layer_sets.values(), key=lambda one: (one[0] is not None, one[0] or ()))
    return [Site(training, training.base, layers, tuple(groups)) for layers, groups in ordered]


def edited_layers(group: Group) -> int:
    """Return the number of layers that ``group`` edits."""
    return max(len(row.get("edit", {}).get("layers", {})) for row in group.rows.values())

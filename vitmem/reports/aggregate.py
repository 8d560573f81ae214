"""Rows of one cell over its seeds, and means with 95 % t intervals between seeds. Does not import torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, wraps
from typing import Any, NamedTuple, TypeVar

from scipy.special import stdtrit

from vitmem.errors import InputError
from vitmem.rows import Row

T = TypeVar("T")
Config = dict[str, Any]
Reader = Callable[[Row], float | None]
TRAINING = ("data", "noise", "model", "recipe")
ENCODER = json.JSONEncoder(sort_keys=True)


# Minimum number of seeds for an interval: with two it is 12.7 standard errors to either side, of no use.
FEWEST = 3
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean over ``n`` seeds with the half-width of its 95 % t interval, ``None`` for fewer than three seeds.

    With two seeds ``pair`` has both values, the lower first; otherwise it is ``None``.
    """

    mean: float
    half: float | None
    n: int
    pair: tuple[float, float] | None = None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return mean and 95 % interval of ``values``, one per seed (t with n - 1 degrees of freedom)."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n < FEWEST:
        return Estimate(mean, None, n, (min(values), max(values)) if n > 1 else None)
    deviation = math.sqrt(math.fsum([(v - mean) ** 2 for v in values]) / (n - 1))
    return Estimate(mean, t_quantile(n - 1) * deviation / math.sqrt(n), n)


@cache
def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of a t variable with ``freedom`` degrees of freedom."""
    return float(stdtrit(freedom, (1 + LEVEL) / 2))


@cache
def at(*path: str) -> Reader:
    """Return a reader of the number at ``path`` in a row, ``None`` if it is missing."""

    if len(path) == 2:  # the most common case
        section, name = path

        def read_in_section(row: Row) -> float | None:
            inner = row.get(section)
            value = inner.get(name) if inner.__class__ is dict else None
            return None if value is None else float(value)

        return read_in_section

    def read(row: Row) -> float | None:
        value: Any = row
        for key in path:
            if not isinstance(value, dict) or (value := value.get(key)) is None:
                return None
        return float(value)

    return read


def kept_share(row: Row) -> float | None:
    """Return the kept share of the pairs (of the singular values for SVD) of all edited matrices."""
    edit = row.get("edit", {})
    return edit["kept_pairs"] / edit["total_pairs"] if edit.get("total_pairs") else None


def seconds(row: Row) -> float | None:
    """Return the seconds of statistics and edit: the cost of a method in addition to training."""
    costs = row.get("costs", {})
    if row["config"]["edit"]["method"] == "none" or "edit_seconds" not in costs:
        return None
    return float(costs["edit_seconds"] + costs.get("statistics_seconds", 0.0))


@dataclass(frozen=True)
class Group:
    """The finished rows of one cell, by seed; ``config`` is the cell's without its seed."""

    config: Config
    rows: Mapping[int, Row]
    # results about the group, cached by function, because tables ask for the same ones repeatedly
    kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def method(self) -> str:
        """The name of the edit method."""
        return str(self.config["edit"]["method"])

    @cached_property
    def oracle(self) -> str | None:
        """The oracle's additional information in training; ``None`` for a plain training to the end."""
        name: str | None = self.config.get("oracle")
        return name

    @cached_property
    def probe(self) -> bool:
        """Whether the edit is a probe: it looks into the memory, and is shown apart from the methods."""
        return any(row.get("edit", {}).get("probe", False) for row in self.rows.values())

    @cached_property
    def inner(self) -> Group | None:
        """The inner edit that this one was applied after, in the same layers, without rows; ``None`` without one."""
        edit = self.config["edit"]
        if not isinstance(after := edit.get("after"), Mapping):
            return None
        place = {key: edit[key] for key in ("blocks", "layers") if key in edit and after["method"] != "none"}
        return Group({**self.config, "edit": {**after, **place}}, {})

    def values(self, read: Reader) -> Mapping[int, float]:
        """Return the values of ``read`` by seed."""
        if read not in self.kept:
            by_seed: dict[int, float] = {}
            for seed in sorted(self.rows):
                if (value := read(self.rows[seed])) is not None:
                    by_seed[seed] = value
            self.kept[read] = by_seed
        values: Mapping[int, float] = self.kept[read]
        return values

    def estimate(self, read: Reader) -> Estimate | None:
        """Return mean and interval of ``read`` over the seeds."""
        key = estimate, read
        if key not in self.kept:
            self.kept[key] = estimate(list(self.values(read).values()))
        found: Estimate | None = self.kept[key]
        return found


def kept(function: Callable[[Group], T]) -> Callable[[Group], T]:
    """Cache ``function`` per group; the returned value must not be modified."""

    @wraps(function)
    def once(group: Group) -> T:
        if function not in group.kept:
            group.kept[function] = function(group)
        found: T = group.kept[function]
        return found

    return once


def difference(group: Group, other: Group, read: Reader) -> Estimate | None:
    """Return mean and interval of ``group`` minus ``other`` over their common seeds."""
    return estimate(differences(group, other, read))


def differences(group: Group, other: Group, read: Reader) -> list[float]:
    """Return ``group`` minus ``other`` for each common seed."""
    ours, theirs = group.values(read), other.values(read)
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


@dataclass(frozen=True)
class Training:
    """All groups of one training configuration (data, noise, model, recipe), its unedited model and its oracles.

    ``probes`` are edits shown apart; no setting is chosen among them.
    """

    config: Config
    base: Group | None
    edits: tuple[Group, ...]
    oracles: tuple[Group, ...] = ()
    probes: tuple[Group, ...] = ()


def canonical_text(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys, to compare and group by."""
    return ENCODER.encode(value)


def group_rows(rows: Iterable[Row]) -> list[Group]:
    """Group the rows with status ok by their cell without the seed, sorted by the cells' configs.

    Raises InputError when two rows are the same cell and seed (an entry's version has changed since).
    """
    groups: dict[str, tuple[Config, dict[int, Row]]] = {}
    for row in rows:
        if row["status"] != "ok":
            continue
        config = {key: value for key, value in row["config"].items() if key != "seed"}
        seed = row["config"]["seed"]
        seeds = groups.setdefault(canonical_text(config), (config, {}))[1]
        if seed in seeds:
            raise InputError(
                f"rows {seeds[seed]['id']} and {row['id']} of suite '{row.get('suite')}' are the same cell; "
                "delete the line of the older one from rows.jsonl ('vitmem plan --json' lists current ids)"
            )
        seeds[seed] = row
    return [Group(*groups[key]) for key in sorted(groups)]


def by_training(groups: Iterable[Group]) -> list[Training]:
    """Gather ``groups`` by data, noise, model and recipe."""
    trainings: dict[str, list[Group]] = {}
    for group in groups:
        trainings.setdefault(canonical_text(training_config(group.config)), []).append(group)
    out = []
    for members in trainings.values():
        base = next((g for g in members if g.method == "none" and g.oracle is None), None)
        edits = tuple(g for g in members if g.method != "none" and not g.probe)
        oracles = tuple(g for g in members if g.oracle is not None)
        probes = tuple(g for g in members if g.probe)
        out.append(Training(training_config(members[0].config), base, edits, oracles, probes))
    return out


def training_config(config: Mapping[str, Any]) -> Config:
    """Return the training part of a cell's config, without the seed."""
    return {key: config[key] for key in TRAINING if key in config}

"""Short names of trainings, methods and settings, with only the differences. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from vitmem.contents import shown_file
from vitmem.recipe import shown_call
from vitmem.registry import EDITS
from vitmem.reports.aggregate import TRAINING, Config, Group, Training, canonical_text, kept
from vitmem.reports.budget import information_rank
from vitmem.reports.escape import one_line_of
from vitmem.specs import FILE

ORACLES = {
    "without_noisy": "retrained without noisy", "true_labels": "true labels", "early_stopped": "early stopped",
}  # fmt: skip
BLOCKS = ("first", "last", "last_two", "last_half", "all_but_first", "all", "first_and_last")
# Default values: an edit with them is the plain method, one with others is a variant of it.
PLAIN = {
    "importance": "kfac", "side": "both", "rule": "span", "statistics.labels": "sampled", "statistics.label_samples": 1,
}  # fmt: skip
# Default values of single methods.
PLAIN_OF = {"protect": {"side": "A"}}
PLACE = ("method", "blocks", "layers")
# Methods before the others of the same information.
FIRST = ("none", "kfac", "svd")
# Maximum length of a name in tables, figures and pages.
LONGEST = 160
# The inner edit of a probe has a name of its own.
AFTER = "after"


def title_of(method: str) -> str:
    """Return the title of a method in tables and figures; its name in suites if it has none or is unknown here."""
    entry = EDITS.known(method)
    return (entry and entry.title) or method


def is_control(method: str) -> bool:
    """Return whether a method is a control."""
    entry = EDITS.known(method)
    return entry is not None and entry.role == "control"


def edit_label(edit: Config) -> str:
    """Return a short text for a resolved edit: its values in order, without defaults."""
    shown = (
        f"after ({edit_label(value)})" if key == AFTER else _statistics_text(value) if key == "second" else str(value)
        for key, value in edit.items()
        if (PLAIN | PLAIN_OF.get(edit["method"], {})).get(key) != value
    )
    return " ".join(shown)


def _asked(statistics: Config) -> Config:
    """Return a request for a second set of statistics without defaults."""
    return {key: value for key, value in statistics.items() if PLAIN.get(f"statistics.{key}") != value}


def _statistics_text(statistics: Config) -> str:
    return f"second ({_text(_asked(statistics))})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@kept
def strength(group: Group) -> Config:
    """Return the numeric parameters of an edit, its strength (``{"fraction": 0.005}``)."""
    return {k: v for k, v in group.config["edit"].items() if k not in PLACE and _is_number(v)}


@kept
def variant(group: Group) -> Config:
    """Return the other parameters and statistics that distinguish an edit from its plain form."""
    edit = group.config["edit"]
    own = {k: v for k, v in edit.items() if k not in (*PLACE, AFTER) and not _is_number(v)}
    if isinstance(second := own.get("second"), dict):
        own["second"] = _asked(second) or "the same"
    read = {f"statistics.{k}": v for k, v in group.config.get("statistics", {}).items()}
    plain = PLAIN | PLAIN_OF.get(group.method, {})
    return {k: v for k, v in (own | read).items() if plain.get(k) != v}


@kept
def method_key(group: Group) -> str:
    """Return a text that is equal for groups that differ only in blocks, layers and strength."""
    after = [group.config["edit"][AFTER]] if group.inner is not None else []
    return canonical_text([group.method, variant(group), *after])


@kept
def where(group: Group) -> str:
    """Return the edited blocks (and layers when given) as a text."""
    edit = group.config["edit"]
    return " ".join(_text(edit[key]) for key in ("blocks", "layers") if edit.get(key) is not None)


def strength_text(group: Group, among: Sequence[Group] = ()) -> str:
    """Return the strength of an edit as a text; with several settings ``among``, only the differences."""
    if not among:
        return _whole_strength(group)
    strengths = [strength(g) for g in among]
    same = {
        key
        for key in strength(group)
        if len(strengths) > 1 and len({canonical_text(f.get(key)) for f in strengths}) == 1
    }
    return " ".join(f"{key} {_text(value)}" for key, value in strength(group).items() if key not in same)


@kept
def _whole_strength(group: Group) -> str:
    return " ".join(f"{key} {_text(value)}" for key, value in strength(group).items())


def setting(group: Group, among: Sequence[Group] = ()) -> str:
    """Return blocks and strength as one text; with several settings ``among``, only the differences."""
    return ", ".join(text for text in (where(group), strength_text(group, among)) if text)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return shown_file(value) if value.keys() == FILE else " ".join(f"{key} {_text(v)}" for key, v in value.items())
    if isinstance(value, list | tuple):
        return "+".join(_text(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else _readable(str(value))


def _readable(name: str) -> str:
    """Return ``name`` as one short line; a shortened one stays distinct from all others."""
    line = one_line_of(name, LONGEST)
    return line if line == name else f"{line} #{sha256(name.encode(errors='backslashreplace')).hexdigest()[:6]}"


@kept
def setting_order(group: Group) -> tuple[Any, ...]:
    """Return a key that sorts the settings of one method: block set, then strength."""
    blocks = group.config["edit"].get("blocks")
    known = BLOCKS.index(blocks) if isinstance(blocks, str) and blocks in BLOCKS else len(BLOCKS)
    return known, where(group), sorted(strength(group).items())


@dataclass(frozen=True)
class Names:
    """The names of one suite's trainings and methods; create it with ``Names.of``."""

    varying: tuple[tuple[str, str], ...]
    varying_recipe: tuple[tuple[str, str], ...]
    varying_variants: frozenset[str]

    @classmethod
    def of(cls, trainings: Iterable[Training]) -> Names:
        """Find the differences between the trainings, and between the variants of each method.

        Settings that differ only between models, noises or data of different names are left out, because the names
        distinguish them. A recipe has no name: its settings are also left out if they only differ between models.
        """
        trainings = list(trainings)
        flat = [_flat(t.config) for t in trainings]
        alike = {section: _by_name(flat, section) for section in ("data", "noise", "model")}
        alike["recipe"] = alike["model"]
        apart = [key for key in _keys(flat) if _differs(flat, key)]
        varying = tuple(
            key for key in apart if key[1] == "name" or any(_differs(group, key) for group in alike[key[0]])
        )
        recipe = tuple(key for key in apart if key[0] == "recipe" and key not in varying)
        methods: dict[str, list[tuple[Config, bool]]] = {}
        edits = [g for t in trainings for g in (*t.edits, *t.probes)]
        for group in (*edits, *(inner for g in edits if (inner := g.inner) is not None)):
            methods.setdefault(group.method, []).append((variant(group), "statistics" in group.config))
        names = {
            key
            for variants in methods.values()
            for key in {k for v, _ in variants for k in v}
            # a probe without statistics is not a variant
            if not key.startswith("statistics.")
            or len({canonical_text(v.get(key)) for v, reads in variants if reads}) > 1
        }
        return cls(varying, recipe, frozenset(names))

    def training(self, training: Training) -> str:
        """Return the model's name with the differences between the trainings of the suite."""
        return _readable(" ".join([str(training.config["model"]["name"]), *self.differing(training)]))

    def differing(self, training: Training, sections: Sequence[str] = TRAINING) -> list[str]:
        """Return ``key=value`` of the differences between the trainings in ``sections``, except the model's name."""
        flat = _flat(training.config)
        return [
            f"{section if key == 'name' else key}={_text(shown_call(flat[section, key]))}"
            for section, key in self.varying
            if section in sections and (section, key) in flat and (section, key) != ("model", "name")
        ]

    def recipe(self, training: Training) -> str:
        """Return the settings of a model's own recipe, if each model has its own; empty otherwise."""
        flat = _flat(training.config)
        return " ".join(f"{key[1]}={_text(shown_call(flat[key]))}" for key in self.varying_recipe if key in flat)

    def training_order(self, training: Training) -> tuple[Any, ...]:
        """Return a key that sorts trainings by their differences, numbers by size."""
        flat = _flat(training.config)
        keys = [("model", "name"), *self.varying]
        return tuple(_sortable(flat.get(key)) for key in keys)

    def method(self, group: Group) -> str:
        """Return the method's name with its variant; for an oracle, the name of its information."""
        names, name = group.kept.get(Names, (None, ""))
        if names is not self:
            group.kept[Names] = self, (name := self._method(group))
        return str(name)

    def _method(self, group: Group) -> str:
        if group.oracle is not None:
            return ORACLES.get(group.oracle, group.oracle)
        name = title_of(group.method)
        parts = [
            f"{key.removeprefix('statistics.')}={_text(value)}"
            for key, value in sorted(variant(group).items())
            if key in self.varying_variants
        ]
        if (inner := group.inner) is not None:
            parts.insert(0, f"after {self.edit(inner)}")
        return _readable(" ".join([name, *parts]))

    def edit(self, group: Group) -> str:
        """Return the method's name with its strength, without the blocks."""
        return ", ".join(text for text in (self.method(group), strength_text(group)) if text)

    def method_order(self, group: Group) -> tuple[Any, ...]:
        """Return a key that sorts methods in every table and figure: by information, then as ``leading_order``."""
        return information_rank(group), *self.leading_order(group)

    def leading_order(self, group: Group) -> tuple[Any, ...]:
        """Return a key that sorts methods: K-FAC, SVD, others by name, controls; plain forms first."""
        rank = FIRST.index(group.method) if group.method in FIRST else len(FIRST) + is_control(group.method)
        return rank, group.method, len(variant(group)), self.method(group)


def _flat(config: Config) -> dict[tuple[str, str], Any]:
    return {(section, key): value for section, keys in config.items() for key, value in keys.items()}


def _by_name(flat: list[dict[tuple[str, str], Any]], section: str) -> list[list[dict[tuple[str, str], Any]]]:
    """Return ``flat`` split by the name in ``section``."""
    return [[f for f in flat if f[section, "name"] == name] for name in {f[section, "name"] for f in flat}]


def _keys(flat: list[dict[tuple[str, str], Any]]) -> list[tuple[str, str]]:
    """Return all keys, those of the model first."""
    keys = {key for f in flat for key in f}
    return sorted(keys, key=lambda key: (key[0] != "model", key))


def _differs(flat: list[dict[tuple[str, str], Any]], key: tuple[str, str]) -> bool:
    return len({canonical_text(f.get(key)) for f in flat}) > 1


def _sortable(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if _is_number(value) else (2, 0.0, _text(value))

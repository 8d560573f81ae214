"""A suite: one YAML file whose axes are lists and whose product is the matrix. No torch.

A list where one value is expected is a sweep (``fraction: [0.002, 0.005]``); ``exclude`` takes
out the cells that hold everything it names.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from vitmem.bench.suite_checks import (
    Config,
    check_blocks,
    check_dropout,
    check_keys,
    check_modality,
    check_needs_tied,
    check_noise,
    check_oracles,
    check_recipe,
    check_statistics,
    check_tied,
    check_views,
)
from vitmem.errors import InputError, one_line
from vitmem.registry import DATA, METHODS, MODELS, NOISES, Entry, reads_statistics
from vitmem.specs import Recipe, Spec, Statistics, explain

CELL_KEYS = ("data", "noise", "model", "recipe", "seed", "statistics", "edit", "oracle")


class DataCommon(Spec):
    """How many images of the two splits are used (``None``: all of them)."""

    name: str
    train: int | None = Field(default=None, gt=0)
    validation: int | None = Field(default=None, gt=0)


class EditCommon(Spec):
    """Which matrices an edit changes: ``blocks`` by a set's name or by number, ``layers`` as patterns inside."""

    method: str
    blocks: str | int | tuple[int, ...] | None = None
    layers: tuple[str, ...] | None = None


class Suite(Spec):
    """The file as it is written; ``cell_configs`` resolves names, defaults and sweeps.

    ``oracles`` are trainings of their own, by the same recipe and with the same seeds, that know what no edit knows:
    ``without_noisy`` leaves the wrongly labelled images out, ``true_labels`` gives them their true label,
    ``early_stopped`` ends at the epoch with the largest accuracy on the selection half of the validation images.
    ``views`` are further measures of validation that need files about the test images.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    about: str = ""
    seeds: tuple[int, ...] = Field(min_length=1)
    data: list[Config] | Config
    noise: list[Config] | Config | None = None
    model: list[Config] | Config
    recipe: list[Config | str] | Config | str | None = None
    statistics: list[Config] | Config = Field(default_factory=dict)
    edits: list[Config] = Field(min_length=1)
    oracles: tuple[Literal["without_noisy", "true_labels", "early_stopped"], ...] = ()
    exclude: list[Config] = Field(default_factory=list)
    views: tuple[Literal["without_duplicates", "without_label_errors", "agreement_humans"], ...] = ()


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; raises InputError with the line when it is not YAML."""
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; shipped suites are in configs/suites") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a YAML file, got {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {one_line(error)}") from None


def load_suite(path: Path) -> Suite:
    """Read a suite; raises InputError with file, place, what was expected and what came."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of keys, got {type(content).__name__}")
    for key in ("data", "noise", "model"):
        for value in _many(content.get(key) or []):
            if not isinstance(value, dict):
                raise InputError(f"{path}: '{key}': expected a mapping such as {{name: ...}}, got {value!r}")
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(error, str(path), Suite)) from None


def cell_configs(suite: Suite, path: Path) -> Iterator[Config]:
    """Yield the resolved config of every cell: data, noise, model, recipe, seed, statistics, edit, oracle."""
    data = [c for v in _many(suite.data) for c in _named(v, DATA.get, DataCommon, "name", f"{path}: data")]
    noise = [
        c for v in _many(suite.noise or {"name": "none"}) for c in _named(v, NOISES.get, None, "name", f"{path}: noise")
    ]
    model = [c for v in _many(suite.model) for c in _named(v, MODELS.get, None, "name", f"{path}: model")]
    recipes = [] if suite.recipe is None else _many(suite.recipe)
    recipe = [c for v in recipes for c in _plain(*_recipe(v, path))] or [{}]
    statistics = [c for v in _many(suite.statistics) for c in _plain(v, Statistics, f"{path}: statistics")]
    edits = [c for v in suite.edits for c in _named(v, METHODS.get, EditCommon, "method", f"{path}: edits")]
    for edit in edits:
        check_blocks(edit, f"{path}: edits")
    for wanted in suite.exclude:
        check_keys(wanted, CELL_KEYS, f"{path}: exclude")
    matches = [0] * len(suite.exclude)
    for seed, d, n, m, r in itertools.product(suite.seeds, data, noise, model, recipe):
        check_dropout(m, r, str(path))
        check_modality(d, m, str(path))
        check_recipe(d, m, r, str(path))
        check_tied(d, r, str(path))
        check_noise(d, None if suite.noise is None else n, str(path))
        check_oracles(d, suite.oracles, str(path))
        check_views(d, suite.views, str(path))
        training: Config = {"data": d, "noise": n, "model": m, "recipe": r, "seed": seed}
        for cell in _of_training(training, edits, statistics, suite.oracles):
            out = [_holds(cell, wanted) for wanted in suite.exclude]
            matches = [m + o for m, o in zip(matches, out, strict=True)]
            if not any(out):
                check_needs_tied(cell["edit"], r, str(path))
                if "statistics" in cell:
                    check_statistics(d, cell["statistics"], str(path))
                yield cell
    for wanted, count in zip(suite.exclude, matches, strict=True):
        if not count:
            raise InputError(f"{path}: exclude: {wanted} matches no cell; see its names and values, or take it out")


def _of_training(
    training: Config, edits: Sequence[Config], statistics: Sequence[Config], oracles: Sequence[str]
) -> Iterator[Config]:
    """Yield the cells of one training: its edits, each with the statistics that it reads, and its oracles."""
    for edit in edits:
        if reads_statistics(edit):
            yield from ({**training, "edit": edit, "statistics": s} for s in statistics)
        else:
            yield {**training, "edit": edit}
    for oracle in oracles:
        yield {**training, "edit": {"method": "none"}, "oracle": oracle}


def resolve(value: Config, kind: Literal["data", "noise"], where: str) -> Config:
    """Return the config of one data set or noise model as the cells of a suite have it, defaults filled in.

    Raises InputError, beginning with ``where``, for what is wrong with it and for a sweep.
    """
    get, common = (DATA.get, DataCommon) if kind == "data" else (NOISES.get, None)
    found = list(_named(value, get, common, "name", where))
    if len(found) != 1:
        raise InputError(f"{where}: expected one value for each parameter, got lists of them")
    return found[0]


def _recipe(value: Config | str, path: Path) -> tuple[Config, type[Spec], str]:
    """Return a recipe given in place, or read from a file named relative to the suite's folder, and where it stands."""
    if not isinstance(value, str):
        return value, Recipe, f"{path}: recipe"
    file = path.parent / value
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a mapping of keys, got {type(content).__name__}")
    return content, Recipe, str(file)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Config, spec: type[Spec], where: str) -> Iterator[Config]:
    for one in _sweep(value, where, spec):
        try:
            yield spec.model_validate(one).model_dump(mode="json", exclude_none=True)
        except ValidationError as error:
            raise InputError(explain(error, where, spec)) from None


def _named(value: Config, get: Any, common: type[Spec] | None, key: str, where: str) -> Iterator[Config]:
    """Resolve an entry's name, or several, and its parameters, those that all entries share apart."""
    if not isinstance(value, dict) or key not in value:
        raise InputError(f"{where}: missing key '{key}', got {value}")
    shared = set(common.model_fields) if common else {key}
    for name in _many(value[key]):
        if not isinstance(name, str):
            raise InputError(f"{where}: '{key}': expected a name or a list of names, got {value[key]!r}")
        entry: Entry = get(name)
        inner = str(entry.info.get("inner") or "")  # a parameter that is an entry itself, with sweeps of its own
        made = [c for v in _many(value.get(inner, [])) for c in _named(v, get, None, key, f"{where}: '{inner}'")]
        for one in _sweep({**value, key: name, **({inner: made} if made else {})}, where, entry.params, common):
            own = entry.parse({k: v for k, v in one.items() if k not in shared}, where)
            rest = {k: v for k, v in one.items() if k in shared}
            resolved = next(_plain(rest, common, where)) if common else rest
            yield {**resolved, **own.model_dump(mode="json", exclude_none=True)}


def _sweep(value: Config, where: str, *specs: type[Spec] | None) -> Iterator[Config]:
    """Yield the product over every list that stands where the specs expect one value."""
    keys, axes = [], []
    for key, item in value.items():
        spec = next((s for s in specs if s and key in s.model_fields), None)
        # a parameter that is a list of numbers, or of rows of numbers: a list one level deeper is a sweep
        levels = 0 if spec is None or key == "blocks" else str(spec.model_fields[key].annotation).count("tuple[")
        if 0 < _depth(item) <= levels:
            axes.append([tuple(item)])
        else:
            axes.append([tuple(i) if isinstance(i, list) else i for i in _many(item)])
        keys.append(key)
        if not axes[-1]:
            raise InputError(f"{where}: '{key}': expected a value or a list of values, got an empty list")
    for values in itertools.product(*axes):
        yield dict(zip(keys, values, strict=True))


def _depth(value: Any) -> int:
    """Return how many lists lie around the values of ``value``."""
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _holds(cell: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether ``cell`` has everything that ``wanted`` names (a list in ``wanted`` means any of)."""
    for key, value in wanted.items():
        got = cell.get(key)
        if isinstance(value, dict):
            if not isinstance(got, Mapping) or not _holds(got, value):
                return False
        elif got not in (value if isinstance(value, list) else [value]):
            return False
    return True

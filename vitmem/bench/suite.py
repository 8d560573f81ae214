"""A suite: one YAML file with the axes of an experiment matrix. No torch.

A list in place of one value is a sweep (``fraction: [0.002, 0.005]``). ``exclude`` removes the cells that match all
keys of one of its patterns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from vitmem.bench.cells import (
    Cell,
    Chosen,
    ChosenData,
    ChosenEdit,
    ChosenModel,
    ChosenNoise,
    DataShared,
    EditShared,
    ModelShared,
    NoiseShared,
    Oracle,
    S,
    Training,
)
from vitmem.bench.ids import Config
from vitmem.bench.plugins import load_plugins, placed
from vitmem.bench.second import statistics_asked, with_second
from vitmem.bench.statistics_checks import check_statistics
from vitmem.bench.suite_checks import (
    check_augmentation,
    check_blocks,
    check_dropout,
    check_freeze,
    check_keys,
    check_needs_tied,
    check_noise,
    check_once,
    check_oracles,
    check_precision,
    check_protocol,
    check_recipe,
    check_tied,
    check_views,
    check_weights,
)
from vitmem.bench.sweep import check_size, holds, many, named, plain
from vitmem.errors import InputError, shown
from vitmem.files import expand, short_name
from vitmem.parsing import read_yaml
from vitmem.recipe import Recipe
from vitmem.specs import Spec, Statistics, explain

MOST_SEEDS = 100
CELL_KEYS = ("data", "noise", "model", "recipe", "seed", "statistics", "edit", "oracle")


def _counted(value: Any) -> Any:
    """Expand a number of seeds: ``seeds: 5`` is 0 to 4."""
    if type(value) is not int:
        return value
    if not 0 < value <= MOST_SEEDS:
        raise ValueError(f"expected a number of seeds, 1 to {MOST_SEEDS}, or a list such as [{value}], got {value}")
    return list(range(value))


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if double := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{shown(double[0])} comes twice; remove one")
    return values


class Suite(Spec):
    """The content of a suite's file; ``cells_of`` resolves names, defaults and sweeps.

    ``name`` is that of the folder of results, ``about`` a sentence for its tables. ``data``, ``noise``, ``model`` and
    ``recipe`` are the axes of trainings; ``recipe`` is a mapping or a file, left out or ``none`` for a network that
    came trained. ``statistics`` and ``edits`` are those of the edits of each training. ``exclude`` removes the cells
    that have everything that one of its mappings names.

    ``oracles`` are extra trainings with the same recipe and seeds and with more information than any edit:
    ``without_noisy`` omits the wrongly labelled images, ``true_labels`` trains on the true labels, ``early_stopped``
    stops at the epoch with the largest accuracy on the selection half of the validation images. ``views`` are extra
    validation metrics from files about the test images. ``seeds`` is a list or a number. ``plugins`` are modules, or
    .py files relative to the suite's folder, imported first.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=100)
    about: str = ""
    plugins: tuple[str, ...] = ()
    seeds: Annotated[tuple[int, ...], BeforeValidator(_counted), AfterValidator(_each_once)] = Field(min_length=1)
    data: list[Config] | Config
    noise: list[Config] | Config | None = None
    model: list[Config] | Config
    recipe: Annotated[
        list[Config | str] | Config | str | None, BeforeValidator(lambda value: None if value == "none" else value)
    ] = None
    statistics: list[Config] | Config = Field(default_factory=dict)
    edits: list[Config] = Field(min_length=1)
    oracles: Annotated[tuple[Oracle, ...], AfterValidator(_each_once)] = ()
    exclude: list[Config] = Field(default_factory=list)
    views: Annotated[
        tuple[Literal["without_duplicates", "without_label_errors", "agreement_humans"], ...],
        AfterValidator(_each_once),
    ] = ()


def load_suite(path: Path) -> Suite:
    """Read a suite and import its plug-ins; raises InputError with the file, the key, and the expected value."""
    content = read_yaml(path, "a shipped suite is named alone, such as demo")
    where = short_name(path)
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a mapping of keys, got {shown(content)}")
    for key in ("data", "noise", "model"):
        for value in many(content.get(key) or []):
            if not isinstance(value, dict):
                raise InputError(f"{where}: '{key}': expected a mapping such as {{name: ...}}, got {shown(value)}")
    for key in ("data", "noise", "model", "recipe", "statistics"):
        if content.get(key) == []:
            raise InputError(f"{where}: '{key}': expected a mapping or a list of them, got an empty list")
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(error, where, Suite)) from None
    suite = suite.model_copy(update={"plugins": tuple(placed(name, path.parent) for name in suite.plugins)})
    load_plugins(suite.plugins)
    return suite


def cells_of(suite: Suite, path: Path, data_dir: Path | None = None) -> Iterator[Cell]:
    """Yield every cell of ``suite``, read from ``path``; raises InputError for parts of it that do not fit together.

    Relative file names are looked up in ``data_dir`` too. Cells refer to files by content.
    """
    where = short_name(path)
    axes = _axes(suite, path, data_dir)
    for wanted in suite.exclude:
        check_keys(wanted, CELL_KEYS, f"{where}: exclude")
    matched, kept = [False] * len(suite.exclude), 0
    views = tuple(sorted(set(suite.views)))
    for seed, d, n, m, r in itertools.product(suite.seeds, axes.data, axes.noise, axes.model, axes.recipe):
        check_dropout(m, r, where)
        check_protocol(d, m, where)
        check_recipe(d, m, r, where)
        check_tied(d, r, where)
        check_freeze(d, r, where)
        check_precision(d, r, where)
        check_augmentation(d, r, where)
        check_noise(d, None if suite.noise is None else n, where)
        check_oracles(d, m, suite.oracles, where)
        check_views(d, suite.views, where)
        training = Training(d, n, m, r, seed)
        # match the training part of each pattern once, not for every cell
        clauses = [
            (number, {key: value for key, value in wanted.items() if key not in training.config})
            for number, wanted in enumerate(suite.exclude)
            if holds(training.config, {key: value for key, value in wanted.items() if key in training.config})
        ]
        for cell in _of_training(training, axes, suite.oracles, views):
            out = False
            for number, rest in clauses:
                if not (out and matched[number]) and holds(cell.config, rest):
                    out = matched[number] = True
            if not out:
                check_needs_tied(cell.edit, r, where)
                if cell.statistics is not None:
                    check_statistics(d, cell.statistics, where)
                if (second := cell.edit.entry.second_set) is not None:
                    check_statistics(d, second, f"{where}: edits: 'second'")
                kept += 1
                yield cell
    for wanted, found in zip(suite.exclude, matched, strict=True):
        if not found:
            raise InputError(
                f"{where}: exclude: {shown(wanted)} matches no cell; check its names and values, or remove it"
            )
    if not kept:
        raise InputError(f"{where}: exclude: no cell is left; make its patterns more specific")


@dataclass(frozen=True)
class _Axes:
    """The values of each axis of a suite; their product is the matrix."""

    data: list[ChosenData]
    noise: list[ChosenNoise]
    model: list[ChosenModel]
    recipe: list[Recipe | None]
    statistics: list[Statistics]
    edits: list[ChosenEdit]


def _axes(suite: Suite, path: Path, data_dir: Path | None) -> _Axes:
    """Parse all entries of ``suite``; raises InputError for an invalid axis."""
    where = short_name(path)
    data = [c for v in many(suite.data) for c in named(v, DataShared, f"{where}: data", data_dir)]
    noises = many(suite.noise or {"name": "none"})
    noise = [c for v in noises for c in named(v, NoiseShared, f"{where}: noise", data_dir)]
    model = [c for v in many(suite.model) for c in named(v, ModelShared, f"{where}: model", data_dir)]
    for one in model:
        check_weights(one, f"{where}: model")
    recipes = [] if suite.recipe is None else many(suite.recipe)
    recipe: list[Recipe | None] = [r for v in recipes for r in plain(*_recipe(v, path))]
    statistics = [s for v in many(suite.statistics) for s in statistics_asked(v, f"{where}: statistics", data_dir)]
    place = f"{where}: edits"
    edits = [c for v in suite.edits for c in named(with_second(v, place, data_dir), EditShared, place)]
    axes = _Axes(data, noise, model, recipe or [None], statistics, edits)
    for key, values in vars(axes).items():
        check_once([v.config if isinstance(v, Chosen) else v for v in values], f"{where}: '{key}'")
    check_size([len(suite.seeds), *map(len, vars(axes).values())], where)
    for edit in edits:
        check_blocks(edit, place)
    return axes


def _of_training(training: Training, axes: _Axes, oracles: Sequence[Oracle], views: tuple[str, ...]) -> Iterator[Cell]:
    """Yield the cells of one training, each edit with its statistics, then the oracles."""
    for edit in axes.edits:
        for statistics in (None,) if edit.entry.needs is None else axes.statistics:
            yield Cell(training, edit, statistics, views)
    for oracle in oracles:
        yield Cell(replace(training, oracle=oracle), training.unedited.edit, views=views)


def resolve(value: Config, shared: type[S], where: str, data_dir: Path | None = None) -> Chosen[Any, S]:
    """Return one data set or noise model with its defaults, as in the cells of a suite.

    Raises InputError, prefixed with ``where``, for an invalid value or a sweep.
    """
    found = list(named(value, shared, where, data_dir))
    if len(found) != 1:
        raise InputError(f"{where}: expected one value for each parameter, got lists of them")
    return found[0]


def _recipe(value: Config | str, path: Path) -> tuple[Config, type[Recipe], str]:
    """Return an inline recipe, or one from a file relative to the suite's folder; with its spec and its location."""
    if not isinstance(value, str):
        return value, Recipe, f"{short_name(path)}: recipe"
    file = path.parent / expand(value)
    content = read_yaml(file, "the path of a recipe's file is relative to the suite's folder")
    if not isinstance(content, dict):
        raise InputError(f"{short_name(file)}: expected a mapping of keys, got {shown(content)}")
    return content, Recipe, short_name(file)

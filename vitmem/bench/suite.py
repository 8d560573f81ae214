"""A suite: one YAML file whose axes are lists and whose product is the matrix. No torch.

A list where one value is expected is a sweep (``fraction: [0.002, 0.005]``); ``exclude`` takes
out the cells that hold everything it names.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from vitmem.bench.plugins import load_plugins, placed
from vitmem.bench.second import second_of, statistics_configs, with_second
from vitmem.bench.statistics_checks import check_statistics
from vitmem.bench.suite_checks import (
    Config,
    check_blocks,
    check_dropout,
    check_keys,
    check_modality,
    check_needs_tied,
    check_noise,
    check_once,
    check_oracles,
    check_recipe,
    check_tied,
    check_views,
    check_weights,
)
from vitmem.bench.sweep import check_size, holds, many, named, plain
from vitmem.contents import File
from vitmem.entries import Edit
from vitmem.errors import InputError, shown
from vitmem.files import expand, short_name
from vitmem.parsing import read_yaml
from vitmem.registry import DATA, EDITS, MODELS, NOISES, edit_of
from vitmem.specs import Recipe, Spec, explain

MOST_SEEDS = 100
UNEDITED = {"method": "none"}
CELL_KEYS = ("data", "noise", "model", "recipe", "seed", "statistics", "edit", "oracle")


def _counted(value: Any) -> Any:
    """Return the seeds that a number of them stands for: ``seeds: 5`` are 0 to 4."""
    if type(value) is not int:
        return value
    if not 0 < value <= MOST_SEEDS:
        raise ValueError(f"expected how many seeds, 1 to {MOST_SEEDS}, or a list such as [{value}], got {value}")
    return list(range(value))


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if double := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{shown(double[0])} comes twice; leave one out")
    return values


class DataCommon(Spec):
    """How many images of the two splits are used (``None``: all of them)."""

    name: str
    train: int | None = Field(default=None, gt=0)
    validation: int | None = Field(default=None, gt=0)


class ModelCommon(Spec):
    """The file of weights that a network starts from (``None``: weights drawn from the seed)."""

    name: str
    weights: File | None = None


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
    ``views`` are further measures of validation that need files about the test images. ``seeds`` are a list, or how
    many. ``plugins`` are modules, or .py files named relative to the suite's folder, that are imported first.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=100)
    about: str = ""
    plugins: tuple[str, ...] = ()
    seeds: Annotated[tuple[int, ...], BeforeValidator(_counted), AfterValidator(_each_once)] = Field(min_length=1)
    data: list[Config] | Config
    noise: list[Config] | Config | None = None
    model: list[Config] | Config
    recipe: list[Config | str] | Config | str | None = None
    statistics: list[Config] | Config = Field(default_factory=dict)
    edits: list[Config] = Field(min_length=1)
    oracles: Annotated[
        tuple[Literal["without_noisy", "true_labels", "early_stopped"], ...], AfterValidator(_each_once)
    ] = ()
    exclude: list[Config] = Field(default_factory=list)
    views: Annotated[
        tuple[Literal["without_duplicates", "without_label_errors", "agreement_humans"], ...],
        AfterValidator(_each_once),
    ] = ()


def load_suite(path: Path) -> Suite:
    """Read a suite and import its plug-ins; raises InputError with file, place, what was expected and what came."""
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


def cell_configs(suite: Suite, path: Path, data_dir: Path | None = None) -> Iterator[Config]:
    """Yield the resolved config of every cell: data, noise, model, recipe, seed, statistics, edit, oracle.

    Files that they name lie in ``data_dir`` or anywhere, and are in the configs by their content.
    """
    where = short_name(path)
    data = [c for v in many(suite.data) for c in named(v, DATA.get, DataCommon, "name", f"{where}: data", data_dir)]
    noises = many(suite.noise or {"name": "none"})
    noise = [c for v in noises for c in named(v, NOISES.get, None, "name", f"{where}: noise", data_dir)]
    models, place = many(suite.model), f"{where}: model"
    model = [c for v in models for c in named(v, MODELS.get, ModelCommon, "name", place, data_dir)]
    for one in model:
        check_weights(one, place)
    recipes = [] if suite.recipe is None else many(suite.recipe)
    recipe = [c for v in recipes for c in plain(*_recipe(v, path))] or [{}]
    statistics = [c for v in many(suite.statistics) for c in statistics_configs(v, f"{where}: statistics", data_dir)]
    place = f"{where}: edits"
    edits = [
        c for v in suite.edits for c in named(with_second(v, place, data_dir), EDITS.get, EditCommon, "method", place)
    ]
    axes = {"data": data, "noise": noise, "model": model, "recipe": recipe, "statistics": statistics, "edits": edits}
    for key, configs in axes.items():
        check_once(configs, f"{where}: '{key}'")
    check_size([len(suite.seeds), *map(len, axes.values())], where)
    for edit_config in edits:
        check_blocks(edit_config, f"{where}: edits")
    parsed = [(edit_config, edit_of(edit_config)) for edit_config in edits]
    for wanted in suite.exclude:
        check_keys(wanted, CELL_KEYS, f"{where}: exclude")
    matched, kept = [False] * len(suite.exclude), 0
    for seed, d, n, m, r in itertools.product(suite.seeds, data, noise, model, recipe):
        check_dropout(m, r, where)
        check_modality(d, m, where)
        check_recipe(d, m, r, where)
        check_tied(d, r, where)
        check_noise(d, None if suite.noise is None else n, where)
        check_oracles(d, suite.oracles, where)
        check_views(d, suite.views, where)
        training: Config = {"data": d, "noise": n, "model": m, "recipe": r, "seed": seed}
        # what a clause says of the training is asked once, not for each of its cells
        clauses = [
            (number, {key: value for key, value in wanted.items() if key not in training})
            for number, wanted in enumerate(suite.exclude)
            if holds(training, {key: value for key, value in wanted.items() if key in training})
        ]
        for cell, edit in _of_training(training, parsed, statistics, suite.oracles):
            out = False
            for number, rest in clauses:
                if not (out and matched[number]) and holds(cell, rest):
                    out = matched[number] = True
            if not out:
                check_needs_tied(edit, r, where)
                if "statistics" in cell:
                    check_statistics(d, cell["statistics"], where)
                if (second := second_of(edit)) is not None:
                    check_statistics(d, second, f"{where}: edits: 'second'")
                kept += 1
                yield cell
    for wanted, found in zip(suite.exclude, matched, strict=True):
        if not found:
            raise InputError(
                f"{where}: exclude: {shown(wanted)} matches no cell; see its names and values, or take it out"
            )
    if not kept:
        raise InputError(f"{where}: exclude: no cell is left; name more of what is to go")


def _of_training(
    training: Config, edits: Sequence[tuple[Config, Edit]], statistics: Sequence[Config], oracles: Sequence[str]
) -> Iterator[tuple[Config, Edit]]:
    """Yield the cells of one training with their edits: each with the statistics that it reads, and the oracles."""
    for config, edit in edits:
        if edit.needs is not None:
            yield from (({**training, "edit": config, "statistics": s}, edit) for s in statistics)
        else:
            yield {**training, "edit": config}, edit
    for oracle in oracles:
        yield {**training, "edit": UNEDITED, "oracle": oracle}, edit_of(UNEDITED)


def resolve(value: Config, kind: Literal["data", "noise"], where: str, data_dir: Path | None = None) -> Config:
    """Return the config of one data set or noise model as the cells of a suite have it, defaults filled in.

    Raises InputError, beginning with ``where``, for what is wrong with it and for a sweep.
    """
    get, common = (DATA.get, DataCommon) if kind == "data" else (NOISES.get, None)
    found = list(named(value, get, common, "name", where, data_dir))
    if len(found) != 1:
        raise InputError(f"{where}: expected one value for each parameter, got lists of them")
    return found[0]


def own_parameters(model: Config) -> Config:
    """Return the parameters of a model's own in its config, without those that all models share."""
    own = MODELS.get(model["name"]).model_fields
    return {key: value for key, value in model.items() if key in own or key not in ModelCommon.model_fields}


def _recipe(value: Config | str, path: Path) -> tuple[Config, type[Spec], str]:
    """Return a recipe given in place, or read from a file named relative to the suite's folder, and where it stands."""
    if not isinstance(value, str):
        return value, Recipe, f"{short_name(path)}: recipe"
    file = path.parent / expand(value)
    content = read_yaml(file, "a recipe's file is named relative to the suite's folder")
    if not isinstance(content, dict):
        raise InputError(f"{short_name(file)}: expected a mapping of keys, got {shown(content)}")
    return content, Recipe, short_name(file)

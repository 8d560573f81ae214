"""A suite: one YAML file whose axes are lists and whose product is the matrix. No torch.

A list where one value is expected is a sweep (``fraction: [0.002, 0.005]``); ``exclude`` takes
out the cells that hold everything it names.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

import vitmem.catalogue  # noqa: F401  fills the registries with the built-in entries
from vitmem.blocks import BLOCK_SETS
from vitmem.errors import InputError, unknown
from vitmem.registry import DATA, METHODS, MODELS, NOISES, Entry
from vitmem.specs import Recipe, Spec, Statistics, explain

CELL_KEYS = ("data", "noise", "model", "recipe", "seed", "statistics", "edit")
Config = dict[str, Any]


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
    """The file as it is written; ``Suite.cells`` resolves names, defaults and sweeps."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    about: str = ""
    seeds: tuple[int, ...] = Field(min_length=1)
    data: list[Config] | Config
    noise: list[Config] | Config | None = None
    model: list[Config] | Config
    recipe: list[Config | str] | Config | str
    statistics: list[Config] | Config = Field(default_factory=dict)
    edits: list[Config] = Field(min_length=1)
    exclude: list[Config] = Field(default_factory=list)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; raises InputError with the line when it is not YAML."""
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; shipped suites are in configs/suites") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a YAML file, got {error}") from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: not valid YAML: {text}") from None


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
    """Yield the resolved config of every cell: data, noise, model, recipe, seed, statistics, edit."""
    data = [c for v in _many(suite.data) for c in _named(v, DATA.get, DataCommon, "name", f"{path}: data")]
    noise = [
        c for v in _many(suite.noise or {"name": "none"}) for c in _named(v, NOISES.get, None, "name", f"{path}: noise")
    ]
    model = [c for v in _many(suite.model) for c in _named(v, MODELS.get, None, "name", f"{path}: model")]
    recipe = [c for v in _many(suite.recipe) for c in _plain(*_recipe(v, path))]
    statistics = [c for v in _many(suite.statistics) for c in _plain(v, Statistics, f"{path}: statistics")]
    edits = [c for v in suite.edits for c in _named(v, METHODS.get, EditCommon, "method", f"{path}: edits")]
    for edit in edits:
        _check_blocks(edit, f"{path}: edits")
    for wanted in suite.exclude:
        _check_keys(wanted, CELL_KEYS, f"{path}: exclude")
    matches = [0] * len(suite.exclude)
    for seed, d, n, m, r in itertools.product(suite.seeds, data, noise, model, recipe):
        _check_dropout(m, r, str(path))
        _check_modality(d, m, str(path))
        _check_noise(d, None if suite.noise is None else n, str(path))
        for edit in edits:
            reads = METHODS.get(edit["method"]).info.get("statistics", False)
            for s in statistics if reads else [None]:
                cell: Config = {"data": d, "noise": n, "model": m, "recipe": r, "seed": seed, "edit": edit}
                if s is not None:
                    cell["statistics"] = s
                out = [_holds(cell, wanted) for wanted in suite.exclude]
                matches = [m + o for m, o in zip(matches, out, strict=True)]
                if not any(out):
                    yield cell
    for wanted, count in zip(suite.exclude, matches, strict=True):
        if not count:
            raise InputError(f"{path}: exclude: {wanted} matches no cell; see its names and values, or take it out")


def _check_keys(given: Config, known: Collection[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise unknown(f"key in {where}:", key, known)


def _check_dropout(model: Config, recipe: Config, where: str) -> None:
    if recipe.get("dropout") is not None and "dropout" not in MODELS.get(model["name"]).params.model_fields:
        raise InputError(f"{where}: recipe: model '{model['name']}' has no 'dropout'; leave it out of the recipe")


def _check_modality(data: Config, model: Config, where: str) -> None:
    reads = [entry.info.get("modality", "image") for entry in (DATA.get(data["name"]), MODELS.get(model["name"]))]
    if reads[0] != reads[1]:
        raise InputError(
            f"{where}: data '{data['name']}' is {reads[0]}, model '{model['name']}' reads {reads[1]}; "
            "'vitmem list models' names others"
        )


def _check_noise(data: Config, noise: Config | None, where: str) -> None:
    text = DATA.get(data["name"]).info.get("modality") == "text"
    if text and noise is not None and noise["name"] != "none":
        raise InputError(f"{where}: noise '{noise['name']}' is for images; text has strings to memorize, leave it out")
    if not text and noise is None:
        raise InputError(f"{where}: 'noise': field required for images, such as {{name: symmetric, rate: 0.1}}")


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
    """Resolve an entry's name and its parameters, those that all entries share apart."""
    if key not in value:
        raise InputError(f"{where}: missing key '{key}', got {value}")
    entry: Entry = get(value[key])
    shared = set(common.model_fields) if common else {key}
    for one in _sweep(value, where, entry.params, common):
        own = entry.parse({k: v for k, v in one.items() if k not in shared}, where)
        rest = {k: v for k, v in one.items() if k in shared}
        resolved = next(_plain(rest, common, where)) if common else rest
        yield {**resolved, **own.model_dump(mode="json", exclude_none=True)}


def _sweep(value: Config, where: str, *specs: type[Spec] | None) -> Iterator[Config]:
    """Yield the product over every list that stands where the specs expect one value."""
    keys, axes = [], []
    for key, item in value.items():
        spec = next((s for s in specs if s and key in s.model_fields), None)
        takes_list = spec is not None and key != "blocks" and "tuple" in str(spec.model_fields[key].annotation)
        if takes_list and isinstance(item, list) and not any(isinstance(i, list) for i in item):
            axes.append([tuple(item)])
        else:
            axes.append([tuple(i) if isinstance(i, list) else i for i in _many(item)])
        keys.append(key)
        if not axes[-1]:
            raise InputError(f"{where}: '{key}': expected a value or a list of values, got an empty list")
    for values in itertools.product(*axes):
        yield dict(zip(keys, values, strict=True))


def _check_blocks(edit: Config, where: str) -> None:
    blocks = edit.get("blocks")
    if edit["method"] == "none":
        return
    if blocks is None:
        raise InputError(
            f"{where}: method '{edit['method']}' needs 'blocks': one of {', '.join(BLOCK_SETS)} or numbers"
        )
    if isinstance(blocks, str) and blocks not in BLOCK_SETS:
        from_names = ", ".join(BLOCK_SETS)
        raise InputError(f"{where}: unknown block set '{blocks}'; expected one of {from_names} or block numbers")


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

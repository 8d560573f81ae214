"""From a suite to cells with ids, and to jobs: the cells of one training. No torch.

The id of a stage is the digest of exactly what it depends on, so two suites that need the same
training share it, and a change of an entry's version makes the stages that use it new.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vitmem.bench.second import second_of
from vitmem.bench.suite import Config, Suite, cell_configs
from vitmem.contents import shown_file
from vitmem.errors import InputError
from vitmem.registry import DATA, MODELS, NOISES, edit_of
from vitmem.specs import ENCODER, digest

# Bumped when the stage itself (not a registered entry) changes what it computes.
STAGE_VERSIONS = {"training": 1, "statistics": 1, "evaluation": 1}


@dataclass(frozen=True)
class Cell:
    """One row to be: the resolved config, its id and the ids of the stages below it.

    ``evaluation`` is what the predictions are kept under; ``views`` are measured on these, so that a row with them has
    an id of its own and nothing is predicted again for it.
    """

    id: str
    training: str
    statistics: str | None
    evaluation: str
    config: Config
    views: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """A short name for progress lines."""
        edit = self.config["edit"]
        rest = " ".join(str(v) for k, v in edit.items() if k != "method")
        return str(self.config.get("oracle", f"{edit['method']} {rest}".strip()))


@dataclass(frozen=True)
class Job:
    """The cells of one training: what an executor runs in one place.

    ``differs`` are the parts of the config, such as ``("recipe", "epochs")``, that not all jobs of its plan share.
    """

    training: str
    config: Config
    cells: tuple[Cell, ...]
    differs: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """A short name for progress lines."""
        c = self.config
        oracle = f" ({c['oracle']})" if "oracle" in c else ""
        extra = "".join(f" {key}={shown_file(c[section][key])}" for section, key in self.differs if key in c[section])
        tied = " example_tied" if "example_tied" in c["recipe"] else ""
        noise = "" if c["noise"]["name"] == "none" else f" {c['noise']['name']}"
        return f"{c['data']['name']}{noise} {c['model']['name']}{extra}{tied} seed {c['seed']}{oracle}"


@dataclass(frozen=True)
class Plan:
    """All cells of a suite, and which entries they need."""

    suite: Suite
    cells: tuple[Cell, ...]

    def only(self, ids: Iterable[str]) -> Plan:
        """Return the plan of the cells whose id begins with one of ``ids``; raises InputError for one that none has."""
        for id in (wanted := list(ids)):
            if not any(cell.id.startswith(id) for cell in self.cells):
                raise InputError(
                    f"--only: suite '{self.suite.name}' has no cell '{id}'; 'vitmem plan --json' lists the ids, which "
                    "change with the suite and with the version of what it names"
                )
        return Plan(self.suite, tuple(cell for cell in self.cells if cell.id.startswith(tuple(wanted))))

    def jobs(self, done: Iterable[str] = ()) -> list[Job]:
        """Return the jobs with cells that are not in ``done`` (cell ids), in the order of the suite."""
        finished = set(done)
        groups: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if cell.id not in finished:
                groups.setdefault(cell.training, []).append(cell)
        differs = _differs([cells[0].config for cells in groups.values()])
        jobs = []
        for training, cells in groups.items():
            # one set of statistics after the other, and blocks together: what is kept in memory for them is bounded
            ordered = sorted(cells, key=lambda cell: (cell.statistics or "", str(cell.config["edit"].get("blocks"))))
            jobs.append(Job(training, training_config(cells[0].config), tuple(ordered), differs))
        return jobs


def _differs(configs: Sequence[Config]) -> tuple[tuple[str, str], ...]:
    """Return what differs between trainings of the same data and model, the names of which tell the others apart."""
    alike: dict[tuple[str, str], list[Config]] = {}
    for config in configs:
        alike.setdefault((config["data"]["name"], config["model"]["name"]), []).append(config)
    found = dict.fromkeys(
        (section, key)
        for some in alike.values()
        for section in ("data", "model", "recipe")
        for key in sorted({key for config in some for key in config[section]} - {"name", "example_tied"})
        if any(config[section].get(key) != some[0][section].get(key) for config in some)
    )
    return tuple(found)


def training_config(config: Config) -> Config:
    """Return the part of a cell's config that its training depends on."""
    oracle = {"oracle": config["oracle"]} if "oracle" in config else {}
    return {**_plain_training(config), **oracle}


def _plain_training(config: Config) -> Config:
    return {key: config[key] for key in ("data", "noise", "model", "recipe", "seed")}


def training_id(config: Config, versions: Sequence[int] | None = None) -> str:
    """Return the id of the training of a cell or training config, ``versions`` of its entries being those of now."""
    return digest(
        {
            "stage": ["training", STAGE_VERSIONS["training"]],
            "config": training_config(config),
            "versions": list(versions or training_versions(config)),
        }
    )


def training_versions(config: Config) -> list[int]:
    """Return the versions of the data, noise and model of a config."""
    names = {part: config[part]["name"] for part in ("data", "noise", "model")}
    return [DATA.get(names["data"]).version, NOISES.get(names["noise"]).version, MODELS.get(names["model"]).version]


def edit_versions(config: Config) -> list[int]:
    """Return the versions of the method of a cell's config and of those that it is made after."""
    return [edit.version for edit in edit_of(config["edit"]).chain()]


def statistics_request(config: Config) -> Config | None:
    """Return how the statistics of a cell are collected, or ``None`` when its method reads none.

    The coupled moments double the accumulators, so they are asked for only where they are read.
    """
    if "statistics" not in config:
        return None
    request, needs = dict(config["statistics"]), edit_of(config["edit"]).needs
    request["moments"] = "plain" if needs is None else needs.moments
    if config["edit"].get("layers") is not None:
        request["layers"] = list(config["edit"]["layers"])
    return request


@lru_cache(maxsize=4096)
def _statistics_id(version: int, training: str, request: str) -> str:
    """Return the id of the statistics that the JSON ``request`` asks of a training; many cells share them."""
    return digest({"stage": ["statistics", version], "training": training, "request": json.loads(request)})


def make_cell(config: Config, training: str, views: Iterable[str] = (), versions: Sequence[int] | None = None) -> Cell:
    """Return the cell of ``config``, whose training has the id ``training``, with ``views`` among its measures.

    ``versions`` of its methods are those of now.
    """
    request = statistics_request(config)
    statistics = None
    if request is not None:
        statistics = _statistics_id(STAGE_VERSIONS["statistics"], training, ENCODER.encode(request))
    version, *inner = versions or edit_versions(config)
    cell: dict[str, Any] = {
        "stage": ["evaluation", STAGE_VERSIONS["evaluation"]],
        "training": training,
        "statistics": statistics,
        "edit": config["edit"],
        "version": [version, *inner] if inner else version,
    }
    evaluation, asked = digest(cell), tuple(sorted(set(views)))
    id = digest({"evaluation": evaluation, "views": asked}) if asked else evaluation
    return Cell(id, training, statistics, evaluation, config, asked)


def make_plan(suite: Suite, path: Path, data_dir: Path | None = None) -> Plan:
    """Resolve every cell of ``suite`` (read from ``path``); equal cells are kept once.

    Files that the suite names lie in ``data_dir`` or anywhere; ids have their content.
    """
    cells: dict[str, Cell] = {}
    known: dict[tuple[Any, ...], str] = {}
    for config in cell_configs(suite, path, data_dir):
        # Parts of the product are shared objects: one digest a training, not one a cell.
        key = (*(id(config[k]) for k in ("data", "noise", "model", "recipe")), config["seed"], config.get("oracle"))
        if key not in known:
            known[key] = training_id(config)
        cell = make_cell(config, known[key], suite.views)
        cells.setdefault(cell.id, cell)
    return Plan(suite, tuple(cells.values()))


def ablated_cell(cell: Cell) -> Cell | None:
    """Return the cell of the same training with the matrices that ``cell`` edits at zero, ``None`` if it edits none."""
    places = {key: cell.config["edit"][key] for key in ("blocks", "layers") if key in cell.config["edit"]}
    if "blocks" not in places:
        return None
    config = {key: value for key, value in cell.config.items() if key != "statistics"}
    return make_cell({**config, "edit": {"method": "ablate", **places}}, cell.training)


def second_cell(cell: Cell) -> Cell | None:
    """Return a cell whose statistics are the second set that ``cell`` reads, ``None`` if it reads one set or none."""
    second = second_of(edit_of(cell.config["edit"]))
    return None if second is None else make_cell({**cell.config, "statistics": second}, cell.training)


def base_cell(config: Config) -> Cell:
    """Return the cell of the unedited model of the same training; of an oracle, of that which knows nothing."""
    plain = {**_plain_training(config), "edit": {"method": "none"}}
    return make_cell(plain, training_id(plain))

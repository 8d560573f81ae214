"""The plan of a suite: its cells, and its jobs, each with the cells of one training. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitmem.bench.cells import Cell, Training
from vitmem.bench.ids import Config
from vitmem.bench.suite import Suite, cells_of
from vitmem.contents import shown_file
from vitmem.errors import InputError
from vitmem.recipe import shown_call


@dataclass(frozen=True)
class Job:
    """The cells of one training, the unit of work of an executor.

    ``differs`` has the parts of the config, such as ``("recipe", "epochs")``, that vary between jobs of the plan.
    """

    training: Training
    cells: tuple[Cell, ...]
    differs: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """A short name for progress lines."""
        training, config = self.training, self.training.config
        extra = "".join(
            f" {key}={shown_call(shown_file(config[section][key]))}"
            for section, key in self.differs
            if key in config[section]
        )
        tied = " example_tied" if training.recipe is not None and training.recipe.example_tied is not None else ""
        noise = "" if training.noise.name == "none" else f" {training.noise.name}"
        oracle = f" ({training.oracle})" if training.oracle is not None else ""
        return f"{training.data.name}{noise} {training.model.name}{extra}{tied} seed {training.seed}{oracle}"


@dataclass(frozen=True)
class Plan:
    """All cells of a suite."""

    suite: Suite
    cells: tuple[Cell, ...]

    def only(self, ids: Iterable[str]) -> Plan:
        """Return the plan of the cells with one of ``ids`` as a prefix; raises InputError for an unknown prefix."""
        for id in (wanted := list(ids)):
            if not any(cell.id.startswith(id) for cell in self.cells):
                raise InputError(
                    f"--only: suite '{self.suite.name}' has no cell '{id}'; 'vitmem plan --json' lists the ids, which "
                    "change with the suite and with the versions of its entries"
                )
        return Plan(self.suite, tuple(cell for cell in self.cells if cell.id.startswith(tuple(wanted))))

    def jobs(self, done: Iterable[str] = ()) -> list[Job]:
        """Return the jobs of the cells that are not in ``done`` (cell ids), in the order of the suite."""
        finished = set(done)
        groups: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if cell.id not in finished:
                groups.setdefault(cell.training.id, []).append(cell)
        differs = _differs([cells[0].training.config for cells in groups.values()])
        jobs = []
        for cells in groups.values():
            # group cells by statistics and blocks to bound the memory for cached statistics
            ordered = sorted(cells, key=lambda cell: (cell.statistics_id or "", str(cell.edit.config.get("blocks"))))
            jobs.append(Job(cells[0].training, tuple(ordered), differs))
        return jobs


def _differs(configs: Sequence[Config]) -> tuple[tuple[str, str], ...]:
    """Return the config keys that vary between trainings with the same names of data and model, and of noise."""
    alike: dict[tuple[str, ...], list[Config]] = {}
    for config in configs:
        names = config["data"]["name"], config["model"]["name"]
        alike.setdefault(names, []).append(config)
        alike.setdefault((*names, config["noise"]["name"]), []).append(config)
    found = dict.fromkeys(
        (section, key)
        for names, some in alike.items()
        for section in (("data", "model", "recipe") if len(names) == 2 else ("noise",))
        for key in sorted({key for config in some for key in config[section]} - {"name", "example_tied"})
        if any(config[section].get(key) != some[0][section].get(key) for config in some)
    )
    return tuple(found)


def make_plan(suite: Suite, path: Path, data_dir: Path | None = None) -> Plan:
    """Resolve every cell of ``suite`` (read from ``path``), without duplicates.

    Relative file names of the suite are looked up in ``data_dir`` too; ids depend on the content of these files.
    """
    cells: dict[str, Cell] = {}
    for cell in cells_of(suite, path, data_dir):
        cells.setdefault(cell.id, cell)
    return Plan(suite, tuple(cells.values()))

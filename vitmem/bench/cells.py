"""Trainings and cells of a suite: frozen objects with their ids. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from vitmem.bench.ids import Config, evaluation_id, request_config, row_id, statistics_id, training_id
from vitmem.contents import File
from vitmem.entries import Dataset, Edit, Entry, Model, Moments, Noise
from vitmem.recipe import Recipe
from vitmem.registry import DATA, EDITS, MODELS, NOISES, Registry
from vitmem.specs import AnyNormalisation, Spec, Statistics
from vitmem.trainer import TrainerOptions

Oracle = Literal["without_noisy", "true_labels", "early_stopped"]


class Swept:
    """Marks a field in which a list is a sweep and a nested list is one value."""


class Shared(Spec):
    """The common parameters of all entries of one kind; the field ``key`` has the entry's name."""

    key: ClassVar[str] = "name"
    registry: ClassVar[Registry[Any]]

    @classmethod
    def split(cls, config: Mapping[str, Any], entry: type[Entry]) -> tuple[Config, Config]:
        """Return the shared parameters of ``config`` and those of ``entry``; the entry's fields take precedence."""
        apart = cls.model_fields.keys() - (entry.model_fields.keys() - {cls.key})
        return {k: v for k, v in config.items() if k in apart}, {k: v for k, v in config.items() if k not in apart}


class DataShared(Shared):
    """The ``name`` of a data set, and how many images are used: ``train``, ``validation`` (``None``: all)."""

    registry: ClassVar[Registry[Any]] = DATA
    name: str
    train: int | None = Field(default=None, gt=0)
    validation: int | None = Field(default=None, gt=0)


class SourceShared(Shared):
    """Another data set: its ``name``, and ``train``, how many training images are drawn from it (``None``: all)."""

    registry: ClassVar[Registry[Any]] = DATA
    name: str
    train: int | None = Field(default=None, gt=0)


class NoiseShared(Shared):
    """Noise models share only their ``name``."""

    registry: ClassVar[Registry[Any]] = NOISES
    name: str


class ModelShared(Shared):
    """A network by ``name``: weights from a file, and the normalisation of the images.

    Training starts from ``weights``; ``trained`` has all weights of a network without training here. Without both,
    the initial weights are random by the seed. ``normalisation`` is that of ImageNet, of the architecture's published
    weights, of the data (channel statistics), or explicit; ``None``: the model's own, else that of the data.
    """

    registry: ClassVar[Registry[Any]] = MODELS
    name: str
    weights: File | None = None
    trained: File | None = None
    normalisation: AnyNormalisation | None = None


class EditShared(Shared):
    """The edited matrices of a ``method``: ``blocks`` by a set's name or by number, ``layers`` as patterns inside."""

    key: ClassVar[str] = "method"
    registry: ClassVar[Registry[Any]] = EDITS
    method: str
    blocks: Annotated[str | int | tuple[int, ...] | None, Swept()] = None
    layers: tuple[str, ...] | None = None


class InnerShared(Shared):
    """The inner ``method`` of a composed edit; it takes the blocks and layers of the outer one."""

    key: ClassVar[str] = "method"
    registry: ClassVar[Registry[Any]] = EDITS
    method: str


E = TypeVar("E", bound=Entry)
S = TypeVar("S", bound=Shared)


@dataclass(frozen=True, eq=False)
class Chosen(Generic[E, S]):
    """An entry in a suite: its own parameters and the shared parameters of its kind."""

    entry: E
    shared: S

    @property
    def name(self) -> str:
        """The name in the suite; for a family the full name, such as ``timm/resnet18``."""
        return str(getattr(self.shared, self.shared.key))

    @cached_property
    def config(self) -> Config:
        """All parameters as in rows, ids and seeds: plain JSON types without ``None``."""
        return {**as_config(self.shared), **as_config(self.entry)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a config, since another process defines the class of a plug-in's entry itself."""
        fields = type(self.entry).model_fields
        apart = {name: getattr(self.entry, name) for name, field in fields.items() if field.exclude}
        return choose, (type(self.shared), self.config | apart)


def as_config(spec: Spec) -> Config:
    """Return ``spec`` as plain JSON types without ``None``."""
    return spec.model_dump(mode="json", exclude_none=True)


def choose(shared: type[S], config: Mapping[str, Any]) -> Chosen[Any, S]:
    """Return the entry of a resolved ``config``; raises InputError for an unknown name."""
    name = config[shared.key]
    entry = shared.registry.get(name)
    common, own = shared.split(config, entry)
    return Chosen(entry.parse(own, name), shared.model_validate(common))


ChosenData = Chosen[Dataset, DataShared]
ChosenNoise = Chosen[Noise, NoiseShared]
ChosenModel = Chosen[Model, ModelShared]
ChosenEdit = Chosen[Edit, EditShared]


@dataclass(frozen=True, eq=False)
class Training:
    """One training: data, noise, model, recipe, seed and the oracle, if any.

    The noise of text is ``none``; the recipe of a trained model is ``None``.
    """

    data: ChosenData
    noise: ChosenNoise
    model: ChosenModel
    recipe: Recipe | None
    seed: int
    oracle: Oracle | None = None

    @cached_property
    def config(self) -> Config:
        """The training as in rows."""
        recipe = {} if self.recipe is None else as_config(self.recipe)
        if self.recipe is not None and self.recipe.clip is None:
            recipe["clip"] = None  # left out, it would be read as the default
        oracle = {} if self.oracle is None else {"oracle": self.oracle}
        parts = {"data": self.data.config, "noise": self.noise.config, "model": self.model.config}
        return {**parts, "recipe": recipe, "seed": self.seed, **oracle}

    @cached_property
    def id(self) -> str:
        """The digest of the config and of the versions of its entries."""
        return training_id(self.config, [part.entry.version for part in (self.data, self.noise, self.model)])

    def devices(self, options: TrainerOptions) -> int:
        """Return the number of devices that it is asked to take, by ``options`` that win over its recipe's."""
        return 1 if self.recipe is None else self.recipe.with_options(options).options.devices or 1

    @property
    def protocol(self) -> str:
        """The kind of experiment of the data."""
        return self.data.entry.protocol

    @cached_property
    def unedited(self) -> Cell:
        """The unedited network of the same training; for an oracle, of the training without it."""
        plain = self if self.oracle is None else replace(self, oracle=None)
        return Cell(plain, choose(EditShared, {"method": "none"}))


@dataclass(frozen=True)
class Request:
    """A request for statistics: the suite's options, the ``moments`` besides A and G, and patterns of ``layers``."""

    statistics: Statistics
    moments: Moments
    layers: tuple[str, ...] | None

    @cached_property
    def config(self) -> Config:
        """The request as in ids and records."""
        return request_config(as_config(self.statistics), self.moments, self.layers)


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of the matrix: an edit of a training with its ``statistics``. A finished cell has a row.

    ``views`` (sorted) are extra validation metrics.
    """

    training: Training
    edit: ChosenEdit
    statistics: Statistics | None = None
    views: tuple[str, ...] = ()

    @cached_property
    def config(self) -> Config:
        """The cell as in its row."""
        statistics = {} if self.statistics is None else {"statistics": as_config(self.statistics)}
        return {**self.training.config, "edit": self.edit.config, **statistics}

    @property
    def method(self) -> str:
        """The name of the edit."""
        return self.edit.name

    @property
    def blocks(self) -> str | int | tuple[int, ...] | None:
        """The edited blocks; ``None`` for an edit without ``blocks``."""
        return self.edit.shared.blocks

    @property
    def layers(self) -> tuple[str, ...] | None:
        """Patterns of the edited layers; ``None`` for the model's defaults."""
        return self.edit.shared.layers

    @cached_property
    def request(self) -> Request | None:
        """The request for the statistics. Moments double the accumulators, so only edits that read them have them."""
        if self.statistics is None:
            return None
        needs = self.edit.entry.needs
        return Request(self.statistics, "plain" if needs is None else needs.moments, self.layers)

    @cached_property
    def statistics_id(self) -> str | None:
        """The id of the statistics; ``None`` for an edit without statistics."""
        return None if self.request is None else statistics_id(self.training.id, self.request.config)

    @cached_property
    def evaluation_id(self) -> str:
        """The id of the stored predictions."""
        versions = [edit.version for edit in self.edit.entry.chain()]
        return evaluation_id(self.training.id, self.statistics_id, self.edit.config, versions)

    @cached_property
    def id(self) -> str:
        """The id of the row. Views change it, but the predictions stay the same."""
        return row_id(self.evaluation_id, self.views)

    @property
    def label(self) -> str:
        """A short name for progress lines."""
        if self.training.oracle is not None:
            return self.training.oracle
        rest = " ".join(str(v) for k, v in self.edit.config.items() if k != "method")
        return f"{self.method} {rest}".strip()

    @cached_property
    def ablated(self) -> Cell | None:
        """The cell of the same training with the edited matrices at zero; ``None`` without ``blocks``."""
        if self.blocks is None:
            return None
        places = as_config(self.edit.shared)
        return Cell(self.training, choose(EditShared, {**places, "method": "ablate"}))

    @cached_property
    def second(self) -> Cell | None:
        """A cell with the second set of statistics of this one; ``None`` for an edit with one set or none."""
        second = self.edit.entry.second_set
        return None if second is None else replace(self, statistics=second)


def as_training(config: Mapping[str, Any]) -> Training:
    """Return the training of a row's config; raises InputError for an unknown entry."""
    recipe = config.get("recipe")
    return Training(
        choose(DataShared, config["data"]),
        choose(NoiseShared, config["noise"]),
        choose(ModelShared, config["model"]),
        Recipe.model_validate(recipe) if recipe else None,
        config["seed"],
        config.get("oracle"),
    )


def as_cell(config: Mapping[str, Any], views: tuple[str, ...] = ()) -> Cell:
    """Return the cell of a row's config; raises InputError for an unknown entry."""
    asked = config.get("statistics")
    statistics = None if asked is None else Statistics.model_validate(asked)
    return Cell(as_training(config), choose(EditShared, config["edit"]), statistics, views)

"""Entries of suites and reports, as classes whose fields are the parameters: datasets, tables and others.

An entry is one class in one file, or one decorated function (``vitmem.registry``). Its fields are the parameters with
their bounds, its class attributes describe it and its needs, and one method does the work. Importing an entry does not
import torch: plans, lists and tables only read these classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import ValidationError

from vitmem.contents import arguments
from vitmem.errors import InputError
from vitmem.specs import Spec, Statistics, explain

# The parameter for an inner edit, which is applied first.
AFTER = "after"
Role = Literal["method", "control", "diagnostic"]
Moments = Literal["plain", "mean", "diagonal", "coupled", "eigen"]
# Information of a method besides the weights: none; training inputs; these with given labels; random labels; trusted
# examples; a retain set and a forget set; a network prepared in training.
Information = Literal["data-free", "unlabelled", "noisy labels", "proxy", "trusted", "retain + forget", "train-time"]


class Entry(Spec):
    """One registered entry.

    ``name`` is its name in suites, ``title`` in tables and figures (``None``: the name). ``version`` is part of every
    id; increase it when the behaviour changes. ``example`` has parameter values for checks and tests.
    """

    kind: ClassVar[str]
    work: ClassVar[str]  # the name of the method that does the work
    name: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str | None] = None
    summary: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any]] = {}
    exactly_one: ClassVar[tuple[str, ...]] = ()  # mutually exclusive parameters, one of which is required
    family: ClassVar[bool] = False  # ``name/x`` is an entry for any x
    function: ClassVar[Callable[..., Any] | None] = None  # of a decorated function

    def model_post_init(self, _context: Any) -> None:
        """Reject several of the mutually exclusive parameters, or none."""
        if self.exactly_one and sum(getattr(self, name) is not None for name in self.exactly_one) != 1:
            *most, last = (f"'{name}'" for name in self.exactly_one)
            raise ValueError(f"give exactly one of {', '.join(most)} and {last}")

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Validate ``values`` as parameters; raises InputError naming ``where``."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise InputError(explain(error, f"{where} ({cls.kind} '{cls.name}')", cls)) from None

    @classmethod
    def defined_by(cls) -> Callable[..., Any]:
        """Return the user's object: the decorated function, or the class."""
        return cls if cls.function is None else inspect.unwrap(cls.function)

    @classmethod
    def built_in(cls) -> bool:
        """Return whether the entry is part of this package."""
        return cls.defined_by().__module__.startswith("vitmem.")

    def as_arguments(self, data_dir: Path | None) -> dict[str, Any]:
        """Return the parameters for a function; files as paths, with their contents checked."""
        return arguments(self, data_dir)

    @staticmethod
    def data_dir(*args: Any, **kwargs: Any) -> Path | None:
        """Return the folder of the user's files from the arguments of the work."""
        return next((place for arg in args if (place := getattr(arg, "data_dir", None))), kwargs.get("data_dir"))


class Noise(Entry):
    """A noise model: the given labels of a training set."""

    kind = "noise"
    work = "draw"

    def draw(self, clean: Any, context: Any, rng: Any) -> Any:
        """Return given labels (n,) int64 for the true ones ``clean`` (n,); see ``vitmem.noise.base``."""
        raise NotImplementedError


class Dataset(Entry):
    """A dataset. ``protocol`` names its experiment.

    ``measured_as`` names the protocol of its metrics, ``None`` its own. ``views`` are further validation measures,
    ``downloads`` is set when it is downloaded without a folder, ``trains_on`` when a pretrained model is trained
    further on it.
    """

    kind = "data"
    work = "load"
    protocol: ClassVar[str] = "image"
    measured_as: ClassVar[str | None] = None
    views: ClassVar[tuple[str, ...]] = ()
    downloads: ClassVar[bool] = False
    trains_on: ClassVar[bool] = False

    def load(self, *args: Any, **kwargs: Any) -> Any:
        """Return the data; images take ``data_dir`` and ``cache_dir``, a synthetic language its seed."""
        raise NotImplementedError


class Model(Entry):
    """A network. ``protocols`` are the kinds of data that it reads; ``trained`` is set for pretrained ones."""

    kind = "model"
    work = "build"
    protocols: ClassVar[tuple[str, ...]] = ("image",)
    trained: ClassVar[bool] = False

    def build(self, *args: Any, **kwargs: Any) -> Any:
        """Return the network for a shape of data; see ``vitmem.models.base``. A family also takes ``architecture``."""
        raise NotImplementedError


class Protocol(Entry):
    """How one kind of data is prepared, trained on, read, predicted and measured; ``protocol`` of data names it.

    ``under_test`` is the subject of a model's contract, a ``vitmem.contracts.fixtures.ModelUnderTest``; ``None`` for
    random images. ``made_up`` returns synthetic predictions for a seed, for a trial of plug-in metrics.
    """

    kind = "protocol"
    work = "open"
    under_test: ClassVar[type[Any] | None] = None
    made_up: ClassVar[Callable[[int], Any] | None] = None

    def open(self, training: Any, places: Any) -> Any:
        """Return the ``vitmem.bench.experiment.Experiment`` of a training: its data, labels and untrained network."""
        raise NotImplementedError


class Metric(Entry):
    """Numbers for one model on one half of the items. ``protocols`` are the supported kinds of predictions."""

    kind = "metric"
    work = "compute"
    protocols: ClassVar[tuple[str, ...]] = ("image",)

    def compute(self, predictions: Any, base: Any) -> dict[str, float]:
        """Return values by name; ``base`` are the predictions of the unedited model."""
        raise NotImplementedError


class Table(Entry):
    """A table of the rows of a suite: ``columns`` are ``vitmem.reports.render.Column``, ``notes`` define terms.

    With ``over_suites`` it is one table over all suites, and ``rows`` receives the results of ``observe`` for each.
    ``suite_notes``: whether the notes and the footer of the suite stand below it.
    """

    kind = "table"
    work = "rows"
    columns: ClassVar[tuple[Any, ...]] = ()
    notes: ClassVar[tuple[str, ...]] = ()
    over_suites: ClassVar[bool] = False
    suite_notes: ClassVar[bool] = True

    def rows(self, report: Any) -> Iterable[tuple[Any, ...]]:
        """Yield the cells of each row of a ``vitmem.reports.report.Report``; a table without rows is left out."""
        raise NotImplementedError

    def columns_of(self, report: Any) -> tuple[Any, ...]:
        """Return the columns; if they depend on the suite, those of ``report``."""
        return self.columns

    def remarks(self, report: Any, rows: Sequence[tuple[Any, ...]]) -> Iterable[str]:
        """Yield sentences that summarise the rows."""
        return ()

    def about(self, report: Any) -> str:
        """Return the sentence above the table: the suite, its data and its noise."""
        return str(report.about)

    def observe(self, report: Any) -> Sequence[Any]:
        """Return the data from one suite for a table over all suites."""
        return ()


class Figure(Entry):
    """A figure of the rows of a suite, drawn by matplotlib, with a ``caption``.

    With ``over_suites`` it is one figure over all suites, and ``draw`` receives the results of ``observe`` for each.
    """

    kind = "figure"
    work = "draw"
    caption: ClassVar[str] = ""
    over_suites: ClassVar[bool] = False

    def draw(self, report: Any) -> Any:
        """Return a ``matplotlib.figure.Figure`` of a ``vitmem.reports.report.Report``; ``None`` draws none."""
        raise NotImplementedError

    def in_words(self, report: Any) -> str:
        """Return a text alternative of the figure."""
        return self.caption

    def observe(self, report: Any) -> Sequence[Any]:
        """Return the data from one suite for a figure over all suites."""
        return ()


@dataclass(frozen=True)
class Needs:
    """The statistics that an edit reads in addition to the factors A and G."""

    moments: Moments = "plain"


class Edit(Entry):
    """A change of trained weights.

    ``role`` is ``method``, ``control`` or ``diagnostic`` (examines a network, and is not compared with methods).
    ``edits_blocks``: whether it edits the blocks of a suite; ``needs_tied``: whether the recipe must tie hidden units
    to examples.
    """

    kind = "method"
    work = "edit"
    role: ClassVar[Role] = "method"
    uses: ClassVar[Information | None] = None
    edits_blocks: ClassVar[bool] = True
    needs_tied: ClassVar[bool] = False
    reads_second: ClassVar[bool] = False  # a second set of statistics, defined by its parameter ``second``
    # for a decorated function: whether it reads A and G, or its additional moments
    statistics: ClassVar[bool | Moments] = False

    @property
    def information(self) -> Information | None:
        """The information of the method besides the weights; ``None`` if not declared."""
        return self.uses

    @property
    def needs(self) -> Needs | None:
        """The required statistics of the trained network; ``None`` for none."""
        if not self.statistics:
            return None
        return Needs() if self.statistics is True else Needs(self.statistics)

    @property
    def second_set(self) -> Statistics | None:
        """The settings of a second set of statistics; ``None`` for an edit with one set or none."""
        return getattr(self, "second") if self.reads_second else None  # noqa: B009  only such edits have the field

    def chain(self) -> Iterator[Edit]:
        """Yield this edit and its inner edits, outermost first."""
        yield self

    def edit(self, context: Any) -> Any:
        """Return an ``EditResult`` for an ``EditContext``; see ``vitmem.edits.base``."""
        raise NotImplementedError

"""What a suite names and what is shown of it, as classes whose fields are the parameters: data sets, tables and others.

An entry is one class in one file, or one decorated function (``vitmem.registry``). Its fields are the parameters with
their bounds, its class attributes say what it is and what it needs, and one method does the work. Importing an entry
loads no torch: plans, lists and tables read these classes alone.
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

# The parameter that is an edit of its own, which another one is applied after.
AFTER = "after"
Role = Literal["method", "control", "diagnostic"]
Moments = Literal["plain", "mean", "diagonal", "coupled", "eigen"]
# What a method is given beside the weights: nothing; training inputs; these with their given labels; wrong labels of
# its own making; trusted examples; which examples to keep and which to forget; what the training prepared.
Information = Literal["data-free", "unlabelled", "noisy labels", "proxy", "trusted", "retain + forget", "train-time"]


class Entry(Spec):
    """One registered thing.

    ``name`` is that of suites, ``title`` that of tables and figures (``None``: the name). ``version`` is bumped when
    the behaviour changes; it is part of every id. ``example`` has values of the parameters for checks and tests.
    """

    kind: ClassVar[str]
    work: ClassVar[str]  # the name of the method that does the work
    name: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str | None] = None
    summary: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any]] = {}
    exactly_one: ClassVar[tuple[str, ...]] = ()  # parameters of which one is given
    family: ClassVar[bool] = False  # ``name/x`` is an entry for any x
    function: ClassVar[Callable[..., Any] | None] = None  # of a decorated function

    def model_post_init(self, _context: Any) -> None:
        """Refuse several of the parameters that exclude each other, or none."""
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
        """Say whether the entry is part of this package."""
        return cls.defined_by().__module__.startswith("vitmem.")

    def as_arguments(self, data_dir: Path | None) -> dict[str, Any]:
        """Return the parameters for a function; a file as its path in ``data_dir`` or anywhere, its content checked."""
        return arguments(self, data_dir)

    @staticmethod
    def data_dir(*args: Any, **kwargs: Any) -> Path | None:
        """Return the folder of the user's files among the arguments of the work."""
        return next((place for arg in args if (place := getattr(arg, "data_dir", None))), kwargs.get("data_dir"))


class Noise(Entry):
    """A noise model: the given labels of a training set."""

    kind = "noise"
    work = "draw"

    def draw(self, clean: Any, context: Any, rng: Any) -> Any:
        """Return given labels (n,) int64 for the true ones ``clean`` (n,); see ``vitmem.noise.base``."""
        raise NotImplementedError


class Dataset(Entry):
    """A data set. ``protocol`` names the experiment that it is for.

    ``measured_as`` names the protocol whose metrics measure it, ``None`` its own. ``views`` are further measures of
    validation that it has, ``downloads`` says that it is fetched where no folder is given, ``trains_on`` that a model
    which came trained is trained further on it.
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
    """A network. ``protocols`` are the kinds of data that it reads, ``trained`` says that it came trained."""

    kind = "model"
    work = "build"
    protocols: ClassVar[tuple[str, ...]] = ("image",)
    trained: ClassVar[bool] = False

    def build(self, *args: Any, **kwargs: Any) -> Any:
        """Return the network for a shape of data; see ``vitmem.models.base``. A family takes ``architecture`` too."""
        raise NotImplementedError


class Protocol(Entry):
    """How data of one kind are prepared, trained on, read, predicted and measured: what ``protocol`` of data names.

    ``under_test`` is what the contract of a model runs on, a ``vitmem.contracts.fixtures.ModelUnderTest``; ``None``
    stands for random images. ``made_up`` returns predictions for a seed, on which the metrics of plug-ins are tried.
    """

    kind = "protocol"
    work = "open"
    under_test: ClassVar[type[Any] | None] = None
    made_up: ClassVar[Callable[[int], Any] | None] = None

    def open(self, training: Any, places: Any) -> Any:
        """Return the ``vitmem.bench.experiment.Experiment`` of a training: its data, labels and untrained network."""
        raise NotImplementedError


class Metric(Entry):
    """Numbers of one model on one half of the items. ``protocols`` are the kinds of predictions that it measures."""

    kind = "metric"
    work = "compute"
    protocols: ClassVar[tuple[str, ...]] = ("image",)

    def compute(self, predictions: Any, base: Any) -> dict[str, float]:
        """Return values by name; ``base`` are the predictions of the unedited model."""
        raise NotImplementedError


class Table(Entry):
    """A table of the rows of a suite: ``columns`` are ``vitmem.reports.render.Column``, ``notes`` say what they mean.

    ``over_suites`` says that it is one table over all suites: then ``rows`` is given what ``observe`` found of each.
    """

    kind = "table"
    work = "rows"
    columns: ClassVar[tuple[Any, ...]] = ()
    notes: ClassVar[tuple[str, ...]] = ()
    over_suites: ClassVar[bool] = False

    def rows(self, report: Any) -> Iterable[tuple[Any, ...]]:
        """Yield the cells of each row of a ``vitmem.reports.report.Report``; a table without rows is left out."""
        raise NotImplementedError

    def columns_of(self, report: Any) -> tuple[Any, ...]:
        """Return the columns; where they depend on the suite, those of ``report``."""
        return self.columns

    def remarks(self, report: Any, rows: Sequence[tuple[Any, ...]]) -> Iterable[str]:
        """Yield sentences that say what the rows come to."""
        return ()

    def about(self, report: Any) -> str:
        """Return the sentence above the table: the suite, its data and its noise."""
        return str(report.about)

    def observe(self, report: Any) -> Sequence[Any]:
        """Return what a table over all suites reads of one."""
        return ()


class Figure(Entry):
    """A figure of the rows of a suite, drawn by matplotlib. ``caption`` says what it shows.

    ``over_suites`` is as for tables: then ``draw`` is given what ``observe`` found of each suite.
    """

    kind = "figure"
    work = "draw"
    caption: ClassVar[str] = ""
    over_suites: ClassVar[bool] = False

    def draw(self, report: Any) -> Any:
        """Return a ``matplotlib.figure.Figure`` of a ``vitmem.reports.report.Report``; ``None`` draws none."""
        raise NotImplementedError

    def in_words(self, report: Any) -> str:
        """Return what the figure shows, for who does not see it."""
        return self.caption

    def observe(self, report: Any) -> Sequence[Any]:
        """Return what a figure over all suites reads of one."""
        return ()


@dataclass(frozen=True)
class Needs:
    """The statistics that an edit reads beside the factors A and G."""

    moments: Moments = "plain"


class Edit(Entry):
    """A change of trained weights.

    ``role`` is ``method``, ``control`` or ``diagnostic`` (looks into a network and competes with none).
    ``edits_blocks`` says whether it edits the blocks that a suite names, ``needs_tied`` whether the recipe must tie
    hidden units to examples.
    """

    kind = "method"
    work = "edit"
    role: ClassVar[Role] = "method"
    uses: ClassVar[Information | None] = None
    edits_blocks: ClassVar[bool] = True
    needs_tied: ClassVar[bool] = False
    reads_second: ClassVar[bool] = False  # a second set of statistics, as its parameter ``second`` asks for
    # of a decorated function: whether it reads A and G, or what it reads beside them
    statistics: ClassVar[bool | Moments] = False

    @property
    def information(self) -> Information | None:
        """What the method is given beside the weights; ``None`` where it does not say."""
        return self.uses

    @property
    def needs(self) -> Needs | None:
        """The statistics of the trained network that are read; ``None`` for none."""
        if not self.statistics:
            return None
        return Needs() if self.statistics is True else Needs(self.statistics)

    @property
    def second_set(self) -> Statistics | None:
        """How a second set of statistics is collected; ``None`` for an edit that reads one set or none."""
        return getattr(self, "second") if self.reads_second else None  # noqa: B009  a field of those that read it

    def chain(self) -> Iterator[Edit]:
        """Yield this edit and the ones that it is applied after, outermost first."""
        yield self

    def edit(self, context: Any) -> Any:
        """Return an ``EditResult`` for an ``EditContext``; see ``vitmem.edits.base``."""
        raise NotImplementedError

"""Registries of entries by name: built-in modules, installed plug-ins, and objects registered by a decorator.

A built-in entry is found in the folder of its kind, here or in ``vitmem.language``, an installed one in the entry-point
group of its kind, which names the object; both are imported on demand. The decorator takes a class of
``vitmem.entries`` or a plain function, whose keyword-only parameters become the fields.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pkgutil
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import create_model

from vitmem.contents import File
from vitmem.entries import Dataset, Edit, Entry, Figure, Metric, Model, Noise, Protocol, Table
from vitmem.errors import InputError, VitmemError, raised_at, reason, unknown
from vitmem.specs import ENCODER

E = TypeVar("E", bound=Entry)
Registered = TypeVar("Registered", bound=Callable[..., Any])


# The name of the module of a plug-in's file begins with this.
PLUGIN_FILE = "vitmem_plugin_"
# The package of the studies of a checkout; each is a folder.
STUDIES = "vitmem.reports.studies"


class Registry(Generic[E]):
    """The entries of one kind: subclasses of ``base``, found in the modules of ``folder`` and ``others`` without torch.

    ``folder`` is also the group of their entry points. ``studies`` selects the modules of a checkout's studies with
    entries of this kind, by name.
    """

    def __init__(self, base: type[E], folder: str, *others: str, studies: Callable[[str], bool] | None = None) -> None:
        self.kind, self.base, self.folder = base.kind, base, folder
        self.others, self.studies = others, studies
        self._entries: dict[str, type[E]] = {}
        self._found = False

    def register(self, name: str, **facts: Any) -> Callable[[Registered], Registered]:
        """Decorate a class or a function to make it available in suites as ``name``; see the README for an example.

        ``facts`` are class attributes of the kind's base, such as ``version`` and ``summary`` (default: the first line
        of the docstring). Raises InputError for an unknown fact, for a taken name and for a parameter with the name of
        a fact.
        """

        def decorate(registered: Registered) -> Registered:
            entry = self._of(registered, name)
            for key, value in facts.items():
                if key not in self.base.__class_vars__:
                    raise unknown(f"fact of {self.kind} '{name}'", key, self.base.__class_vars__)
                many = isinstance(getattr(self.base, key, None), tuple) and isinstance(value, str)
                setattr(entry, key, (value,) if many else value)
            entry.name = name
            entry.summary = entry.summary or (inspect.getdoc(registered) or "").split("\n")[0].rstrip(".")
            self.add(entry)
            return registered

        return decorate

    def add(self, entry: type[E]) -> None:
        """Add ``entry`` by its name; raises InputError when the name is taken."""
        if not entry.built_in():
            self._find()
        if entry.name in self._entries:
            raise InputError(f"{self.kind} '{entry.name}' is registered already; give the plug-in's entry another name")
        self._entries[entry.name] = entry

    def get(self, name: str) -> type[E]:
        """Return the entry ``name``, or the family of ``family/x``; raises InputError suggesting the nearest name."""
        if (entry := self._entries.get(name)) is not None and self._found:
            return entry
        self._find()
        for known in (name, name.partition("/")[0]):
            self._load_installed([point for point in installed(self.folder) if point.name == known])
        entry = self._entries.get(name)
        if entry is None and "/" in name:
            family = self._entries.get(name.partition("/")[0])
            entry = family if family is not None and family.family else None
        if entry is None:
            missing = unknown(self.kind, name, {*self._entries, *(point.name for point in installed(self.folder))})
            raise InputError(f"{missing} (or is its plug-in missing? --plugin, or 'plugins' in the suite)")
        return entry

    def known(self, name: str) -> type[E] | None:
        """Return the entry ``name`` if it is registered or built in, without importing an installed plug-in."""
        self._find()
        return self._entries.get(name)

    def entries(self) -> list[type[E]]:
        """Return all entries, sorted by name; installed plug-ins of this kind are imported."""
        self._find()
        self._load_installed(installed(self.folder))
        return [self._entries[name] for name in sorted(self._entries)]

    def discard(self, name: str) -> None:
        """Remove ``name`` if it is registered, for a plug-in whose import fails."""
        self._entries.pop(name, None)

    def _find(self) -> None:
        if self._found:
            return
        self._found = True
        try:
            for name in self._modules():
                importlib.import_module(name)
        except BaseException:
            self._found = False  # an incomplete registry is unusable: the next access raises the reason again
            raise

    def _modules(self) -> Iterator[str]:
        """Yield the modules with entries of the package, or of the studies of a checkout."""
        for folder in (self.folder, *self.others):
            found = pkgutil.iter_modules(importlib.import_module(folder).__path__, f"{folder}.")
            yield from (module.name for module in found if not module.ispkg)
        if self.studies is not None:
            for place in importlib.import_module(STUDIES).__path__:
                for file in sorted(Path(place).glob("*/*.py")):
                    if self.studies(file.stem):
                        yield f"{STUDIES}.{file.parent.name}.{file.stem}"

    def _load_installed(self, points: Sequence[EntryPoint]) -> None:
        for point in points:
            if point.name not in self._entries:
                guarded(point.name, point.load)
                if point.name not in self._entries:
                    raise InputError(
                        f"plug-in '{point.name}' ({point.value}): it registers no {self.kind} of that name; decorate "
                        "the object with the name of its entry point"
                    )

    def _of(self, registered: Any, name: str) -> type[E]:
        """Return a registered class, or the class made from a function."""
        if isinstance(registered, type):
            if not issubclass(registered, self.base):
                raise InputError(
                    f"{self.kind} '{name}': expected a subclass of {self.base.__name__} or a function, got the class "
                    f"{registered.__name__}"
                )
            for fact in ("title", "summary"):  # not inherited from a registered parent
                if fact not in vars(registered):
                    setattr(registered, fact, getattr(self.base, fact))
            done = getattr(registered, self.base.work)
            setattr(registered, self.base.work, _stays(done, f"{self.kind} '{name}'"))
            return registered
        fields = _fields_of(registered)
        if taken := sorted(fields.keys() & {*self.base.__class_vars__, *vars(Entry), *vars(self.base)}):
            raise InputError(
                f"{self.kind} '{name}': the parameter '{taken[0]}' has a name that all entries use; rename it"
            )
        function = _stays(registered, f"{self.kind} '{name}'")

        def work(self: Entry, *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs, **self.as_arguments(self.data_dir(*args, **kwargs)))

        options: dict[str, Any] = {"__base__": self.base, "__module__": registered.__module__, **fields}
        entry: Any = typing.cast(Any, create_model(f"{name}_entry", **options))
        setattr(entry, self.base.work, work)
        entry.function = staticmethod(function)
        return typing.cast(type[E], entry)


def _stays(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Return ``function`` with SystemExit turned into an error, so that a plug-in cannot end a run."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except SystemExit as error:
            at = raised_at(error)
            raise VitmemError(f"{what}: {reason(error)}{at and f' ({at})'}") from error

    return call


def _fields_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters of ``function`` as fields: annotation and default by name."""
    own = {
        parameter.name: parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    # annotations of other parameters may use names imported only for type checkers
    holder = type("_Holder", (), {"__annotations__": {k: v for k, v in function.__annotations__.items() if k in own}})
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    hints = typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True)
    empty = inspect.Parameter.empty
    return {name: (_kind_of(hints.get(name, Any)), ... if p.default is empty else p.default) for name, p in own.items()}


def _kind_of(hint: Any) -> Any:
    """Return the type of a field for a parameter's annotation: for a path, a file."""
    if typing.get_origin(hint) is typing.Annotated:
        return next((mark for mark in hint.__metadata__ if isinstance(mark, type) and issubclass(mark, File)), hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.Union[tuple(map(_kind_of, typing.get_args(hint)))]  # noqa: UP007  of a list made here
    return hint


MODELS = Registry(Model, "vitmem.models", "vitmem.language.models")
DATA = Registry(Dataset, "vitmem.datasets", "vitmem.language.datasets")
NOISES = Registry(Noise, "vitmem.noise")
EDITS = Registry(Edit, "vitmem.edits")
METRICS = Registry(Metric, "vitmem.metrics", "vitmem.language.metrics")
PROTOCOLS = Registry(Protocol, "vitmem.protocols", "vitmem.language.protocols")
# Figures load matplotlib, which tables do not need.
TABLES = Registry(Table, "vitmem.reports.tables", studies=lambda module: module != "figures")
FIGURES = Registry(Figure, "vitmem.reports.figures", studies=lambda module: module == "figures")
REGISTRIES: dict[str, Registry[Any]] = {
    "models": MODELS,
    "data": DATA,
    "noises": NOISES,
    "methods": EDITS,
    "metrics": METRICS,
    "protocols": PROTOCOLS,
    "tables": TABLES,
    "figures": FIGURES,
}


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of ``group``; this reads the metadata of every installed package, so it is cached."""
    return tuple(entry_points(group=group))


def guarded(name: str, load: Callable[[], object]) -> None:
    """Import the plug-in ``name`` by ``load``; raises InputError with the reason when that fails.

    Entries that it had registered are removed.
    """
    before = {kind: set(registry._entries) for kind, registry in REGISTRIES.items()}
    path = sys.path.copy()
    try:
        load()
    except (Exception, SystemExit) as error:
        sys.path[:] = path
        for kind, registry in REGISTRIES.items():
            for added in set(registry._entries) - before[kind]:
                if not registry._entries[added].built_in():  # the plug-in's import may load these
                    registry.discard(added)
        at = raised_at(error)
        raise InputError(f"plug-in '{name}' cannot be loaded: {reason(error)}{at and f' ({at})'}") from error


def edit_of(config: Mapping[str, Any]) -> Edit:
    """Return the edit of ``config`` (``{method: ...}``, its parameters, blocks and layers)."""
    return _edit_of(EDITS.get(config["method"]), ENCODER.encode(config))


@lru_cache(maxsize=4096)
def _edit_of(entry: type[Edit], config: str) -> Edit:
    own = {key: value for key, value in json.loads(config).items() if key in entry.model_fields}
    return entry.parse(own, "edit")

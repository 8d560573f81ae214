"""Named, versioned entries: built-in ones are listed without importing what they name.

Planning a suite and listing what exists must not load torch, so a built-in entry holds the
dotted place of its function (``"vitmem.models.vit:vit"``) and its parameters as a spec class.
A plug-in decorates the function itself and its parameters are read from the signature.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError, create_model

from vitmem.errors import InputError, VitmemError, raised_at, reason, unknown
from vitmem.specs import Spec, explain

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """One registered thing.

    ``params`` is the spec of its keyword parameters, ``target`` the function or its dotted place,
    ``version`` is bumped when its behaviour changes (it is part of every id), ``info`` holds what
    the kind of entry needs beside that (an edit: whether it reads statistics, its input class).
    """

    kind: str
    name: str
    version: int
    summary: str
    params: type[Spec]
    target: Callable[..., Any] | str
    info: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """Return the function, importing its module when the entry is a built-in one."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return function

    def parse(self, values: Mapping[str, Any], where: str) -> Spec:
        """Validate ``values`` as this entry's parameters; raises InputError naming ``where``."""
        try:
            return self.params.model_validate(dict(values))
        except ValidationError as error:
            raise InputError(explain(error, f"{where} ({self.kind} '{self.name}')", self.params)) from None


class Registry:
    """The entries of one kind, by name. ``family/x`` finds the entry ``family`` if that is a family."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Add ``entry``; raises InputError when its name is taken."""
        if entry.name in self._entries:
            raise InputError(f"{self.kind} '{entry.name}' is registered already; give the plug-in's entry another name")
        self._entries[entry.name] = entry

    def register(self, name: str, version: int = 1, summary: str = "", **info: Any) -> Callable[[F], F]:
        """Decorate a function so that suites find it as ``name``; see the README for a model in ten lines."""

        def decorate(function: F) -> F:
            text = summary or (inspect.getdoc(function) or "").split("\n")[0]
            target = _stays(function, f"{self.kind} '{name}'")
            self.add(Entry(self.kind, name, version, text, _params_of(function, name), target, info))
            return function

        return decorate

    def get(self, name: str) -> Entry:
        """Return the entry called ``name``; raises InputError offering the nearest name."""
        entry = self._entries.get(name)
        if entry is None and "/" in name:
            family = self._entries.get(name.partition("/")[0])
            entry = family if family is not None and family.info.get("family") else None
        if entry is None:
            missing = unknown(self.kind, name, self._entries)
            raise InputError(f"{missing} (or is its plug-in missing? --plugin, or 'plugins' in the suite)")
        return entry

    def entries(self) -> list[Entry]:
        """Return all entries, sorted by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def discard(self, name: str) -> None:
        """Forget ``name`` if it is registered (a plug-in that fails half-way takes its entries with it)."""
        self._entries.pop(name, None)


def _stays(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Return ``function`` with an exit of Python turned into an error: a plug-in ends no run."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except SystemExit as error:
            at = raised_at(error)
            raise VitmemError(f"{what}: {reason(error)}{at and f' ({at})'}") from error

    return call


def _params_of(function: Callable[..., Any], name: str) -> type[Spec]:
    """Build a spec class from the keyword-only parameters of ``function``."""
    hints = typing.get_type_hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (hints.get(parameter.name, Any), default)
    model: type[Spec] = create_model(f"{name}_params", __base__=Spec, **fields)
    return model


MODELS = Registry("model")
DATA = Registry("data")
NOISES = Registry("noise")
METHODS = Registry("method")
METRICS = Registry("metric")
REGISTRIES = {"models": MODELS, "data": DATA, "noises": NOISES, "methods": METHODS, "metrics": METRICS}


def nested(edit: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a resolved edit, then the one that it is made after, if its method takes one, and so on inwards."""
    yield edit
    inner = METHODS.get(edit["method"]).info.get("inner")
    if inner is not None:
        yield from nested(edit[inner])


def reads_statistics(edit: Mapping[str, Any]) -> bool:
    """Say whether a resolved edit, or the one that it is made after, reads statistics of the trained network.

    A method that reads them for some of its parameters alone says for which ones.
    """
    for one in nested(edit):
        needs = METHODS.get(one["method"]).info.get("statistics", False)
        if all(one.get(key) == value for key, value in needs.items()) if isinstance(needs, Mapping) else needs:
            return True
    return False


def told_class(edit: Mapping[str, Any]) -> str | None:
    """Return the input class of a resolved edit; D0 for one that need not read the statistics that its method may.

    A parameter that is given may make it another one, as the entry says.
    """
    info = METHODS.get(edit["method"]).info
    if info.get("inner") is not None and info.get("input_class") is None:
        return told_class(edit[info["inner"]])
    unread = isinstance(info.get("statistics"), Mapping) and not reads_statistics(edit)
    other = [told for parameter, told in info.get("told", {}).items() if edit.get(parameter) is not None]
    found: str | None = "D0" if unread else next(iter(other), info.get("input_class"))
    return found

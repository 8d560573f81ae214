"""Finding plug-ins: by module name, by file path, or by the entry-point group ``vitmem.plugins``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from vitmem.errors import InputError, reason
from vitmem.registry import REGISTRIES

_loaded: set[str] = set()


def load_plugins(names: Sequence[str]) -> None:
    """Import every plug-in of ``names`` and of the entry points; loading one twice does nothing.

    Raises InputError with the reason when one cannot be imported or registers a name that is taken;
    what it had registered until then is taken back.
    """
    for name in names:
        key = str(Path(name).resolve()) if name.endswith(".py") else name
        if key not in _loaded:
            _guarded(name, lambda name=name: _from_file(name) if name.endswith(".py") else _from_module(name))
            _loaded.add(key)
    for point in entry_points(group="vitmem.plugins"):
        if point.value not in _loaded:
            _guarded(point.name, point.load)
            _loaded.add(point.value)


def _guarded(name: str, load: object) -> None:
    before = {kind: {e.name for e in registry.entries()} for kind, registry in REGISTRIES.items()}
    try:
        load()  # type: ignore[operator]
    except Exception as error:
        for kind, registry in REGISTRIES.items():
            for entry in registry.entries():
                if entry.name not in before[kind]:
                    registry.discard(entry.name)
        raise InputError(f"plug-in '{name}' cannot be loaded: {reason(error)}") from error


def _from_module(name: str) -> None:
    importlib.import_module(name)


def _from_file(name: str) -> None:
    path = Path(name).resolve()
    if not path.is_file():
        raise InputError(f"no such file: {path}; give a .py file or the name of an installed module")
    spec = importlib.util.spec_from_file_location(f"vitmem_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)

"""Finding plug-ins: by module name, by file path, or by the entry-point group ``vitmem.plugins``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from vitmem.errors import InputError, raised_at, reason
from vitmem.files import check_readable, expand
from vitmem.registry import REGISTRIES

_loaded: set[str] = set()
# Folders of plug-in files: what lies beside a plug-in it can import.
_folders: set[str] = set()


def placed(name: str, folder: Path) -> str:
    """Return the plug-in ``name`` as one that is found from everywhere: a .py file lies relative to ``folder``."""
    return str((folder / expand(name)).resolve()) if name.endswith(".py") else name


def load_plugins(names: Sequence[str]) -> None:
    """Import every plug-in of ``names`` and of the entry points; loading one twice does nothing.

    Raises InputError with the reason when one cannot be imported or registers a name that is taken;
    what it had registered until then is taken back.
    """
    for name in names:
        key = placed(name, Path())
        if key not in _loaded:
            _guarded(name, partial(_from_file, Path(key)) if key.endswith(".py") else partial(_from_module, key))
            _loaded.add(key)
    for point in _points():
        if point.value not in _loaded:
            _guarded(point.name, point.load)
            _loaded.add(point.value)


@cache
def _points() -> tuple[EntryPoint, ...]:
    """Return the entry points; looking for them reads the metadata of every installed package."""
    return tuple(entry_points(group="vitmem.plugins"))


def _guarded(name: str, load: Callable[[], object]) -> None:
    before = {kind: {e.name for e in registry.entries()} for kind, registry in REGISTRIES.items()}
    path = sys.path.copy()
    try:
        load()
    except (Exception, SystemExit) as error:
        sys.path[:] = path
        for kind, registry in REGISTRIES.items():
            for entry in registry.entries():
                if entry.name not in before[kind]:
                    registry.discard(entry.name)
        at = raised_at(error)
        raise InputError(f"plug-in '{name}' cannot be loaded: {reason(error)}{at and f' ({at})'}") from error


def _from_module(name: str) -> None:
    importlib.import_module(name)


def _from_file(path: Path) -> None:
    check_readable(path, "a plug-in", "give a .py file or the name of an installed module")
    spec = importlib.util.spec_from_file_location(f"vitmem_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _open_folder(path.parent)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    _folders.add(str(path.parent))


def _open_folder(folder: Path) -> None:
    """Let plug-ins import what lies in ``folder``; Python's own modules come first, installed ones after.

    Raises InputError when another plug-in has imported a module of the same name from its own folder.
    """
    if str(folder) in _folders:
        return
    for file in sorted(folder.glob("*.py")):
        other = getattr(sys.modules.get(file.stem), "__file__", None)
        if other is not None and str(Path(other).parent) in _folders:
            both = f"in {folder} and in {Path(other).parent}"
            raise InputError(f"two plug-ins have a '{file.name}' each, {both}; rename one")
    places = (i for i, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages")))
    sys.path.insert(next(places, len(sys.path)), str(folder))

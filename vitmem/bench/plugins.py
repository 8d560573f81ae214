"""Import of the plug-ins of a suite or a command, by module name or file path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vitmem.errors import InputError
from vitmem.files import check_readable, expand
from vitmem.registry import PLUGIN_FILE, guarded

_loaded: dict[str, None] = {}  # in order, since a plug-in may need an earlier one
# Folders of plug-in files; a plug-in can import modules from its folder.
_folders: set[str] = set()


def placed(name: str, folder: Path) -> str:
    """Return the plug-in ``name`` with the path of a .py file, relative to ``folder``, made absolute."""
    return str((folder / expand(name)).resolve()) if name.endswith(".py") else name


def load_plugins(names: Sequence[str]) -> None:
    """Import every plug-in of ``names`` once.

    Raises InputError with the reason if the import fails or a registered name is taken; the entries of that plug-in are
    then unregistered.
    """
    for name in names:
        key = placed(name, Path())
        if key not in _loaded:
            guarded(name, partial(_from_file, Path(key)) if key.endswith(".py") else partial(_from_module, key))
            _loaded[key] = None


def loaded() -> list[str]:
    """Return the plug-ins of this process as arguments for ``load_plugins`` in another process."""
    return list(_loaded)


def _from_module(name: str) -> None:
    importlib.import_module(name)


def _from_file(path: Path) -> None:
    check_readable(path, "a plug-in", "give a .py file or the name of an installed module")
    spec = importlib.util.spec_from_file_location(PLUGIN_FILE + path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _open_folder(path.parent)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    _folders.add(str(path.parent))


def _open_folder(folder: Path) -> None:
    """Add ``folder`` to the import path, after the standard library and before installed packages.

    Raises InputError if another plug-in imported a module of the same name from its own folder.
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

"""Finding plug-ins that a suite or a command names: by module name or by file path."""

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

_loaded: dict[str, None] = {}  # in order: one may need another
# Folders of plug-in files: what lies beside a plug-in it can import.
_folders: set[str] = set()


def placed(name: str, folder: Path) -> str:
    """Return the plug-in ``name`` as one that is found from everywhere: a .py file lies relative to ``folder``."""
    return str((folder / expand(name)).resolve()) if name.endswith(".py") else name


def load_plugins(names: Sequence[str]) -> None:
    """Import every plug-in of ``names``; loading one twice does nothing.

    Raises InputError with the reason when one cannot be imported or registers a name that is taken;
    what it had registered until then is taken back.
    """
    for name in names:
        key = placed(name, Path())
        if key not in _loaded:
            guarded(name, partial(_from_file, Path(key)) if key.endswith(".py") else partial(_from_module, key))
            _loaded[key] = None


def loaded() -> list[str]:
    """Return the plug-ins of this process, as ``load_plugins`` of another one finds them."""
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

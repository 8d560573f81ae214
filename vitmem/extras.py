"""Packages that only some of the work needs: imported when they are, with one sentence when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from vitmem.errors import InputError


def extra(module: str, name: str) -> ModuleType:
    """Return the ``module`` that comes with the extra ``name``; raises InputError saying what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module} is needed here and cannot be imported ({error}); pip install 'vitmem[{name}]'"
        ) from None

"""Lazy imports: torch at its first use, and optional packages.

Entries are listed, planned and tabled without them.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vitmem.errors import InputError


class _AtFirstUse(ModuleType):
    """A module that is imported on first attribute access.

    It is not in ``sys.modules``, where libraries such as scipy check whether torch is in use.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch as torch
else:
    torch = _AtFirstUse("torch")


def extra(module: str, name: str) -> ModuleType:
    """Return the ``module`` of the extra ``name``; raises InputError with the command to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module} is needed here and cannot be imported ({error}); pip install 'vitmem[{name}]'"
        ) from None

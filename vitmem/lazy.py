"""torch, imported at its first use: entries are listed, planned and tabled without it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class _AtFirstUse(ModuleType):
    """A module that is imported when an attribute of it is asked for.

    It does not stand in ``sys.modules``, where libraries such as scipy look whether torch is in use.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch as torch
else:
    torch = _AtFirstUse("torch")

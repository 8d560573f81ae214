"""Clauses of a contract: each is kept or broken, and a broken one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitmem.errors import reason


@dataclass(frozen=True)
class Check:
    """Result of one clause: its name, whether it is kept, and a reason or finding."""

    name: str
    ok: bool
    detail: str = ""


class ContractViolation(Exception):
    """A clause is broken; the text gives the reason."""


def run_clause(name: str, test: Callable[[], object], checks: list[Check]) -> None:
    """Run ``test`` and append the result to ``checks``: an exception is a failure, a returned text the detail."""
    try:
        detail = test()
    except ContractViolation as broken:
        checks.append(Check(name, False, str(broken)))
    except Exception as error:  # a plug-in may raise anything
        checks.append(Check(name, False, reason(error)))
    else:
        checks.append(Check(name, True, detail if isinstance(detail, str) else ""))


def require(kept: bool, found: str) -> None:
    """Raise ContractViolation with the text ``found`` unless the clause is ``kept``."""
    if not kept:
        raise ContractViolation(found)

"""Clauses of a contract: each is kept or broken, and a broken one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitmem.errors import reason


@dataclass(frozen=True)
class Check:
    """One clause of a contract: its name, whether it is kept, and why not, or what was found."""

    name: str
    ok: bool
    detail: str = ""


class ContractViolation(Exception):
    """A clause is not kept; the text says what was found."""


def run_clause(name: str, test: Callable[[], object], checks: list[Check]) -> None:
    """Run ``test`` and add to ``checks`` whether it was kept; what it raises is its failure, a text its detail."""
    try:
        said = test()
    except ContractViolation as broken:
        checks.append(Check(name, False, str(broken)))
    except Exception as error:  # whatever a plug-in raises is its clause's failure
        checks.append(Check(name, False, reason(error)))
    else:
        checks.append(Check(name, True, said if isinstance(said, str) else ""))


def require(kept: bool, found: str) -> None:
    """Raise ContractViolation, saying what was ``found``, unless the clause is ``kept``."""
    if not kept:
        raise ContractViolation(found)

"""``vitmem check``: run the contract of a plug-in and print what it keeps and what it breaks."""

from __future__ import annotations

from collections.abc import Sequence

from vitmem.bench.plugins import load_plugins
from vitmem.cli.values import key_values
from vitmem.contracts.edit import check_method
from vitmem.contracts.model import check_model
from vitmem.contracts.noise import check_noise
from vitmem.errors import VitmemError, unknown

CONTRACTS = {"model": check_model, "method": check_method, "noise": check_noise}


def check(kind: str, name: str, params: Sequence[str], plugins: Sequence[str]) -> None:
    """Check one entry, a line for each clause; raises VitmemError when one is broken."""
    if kind not in CONTRACTS:
        raise unknown("contract", kind, CONTRACTS)
    load_plugins(plugins)
    checks = CONTRACTS[kind](name, key_values(params, "--param"))
    for one in checks:
        print(f"{'ok  ' if one.ok else 'FAIL'} {one.name}" + (f": {one.detail}" if one.detail else ""))
    broken = [one.name for one in checks if not one.ok]
    if broken:
        raise VitmemError(f"{kind} '{name}' breaks its contract: {', '.join(broken)}")

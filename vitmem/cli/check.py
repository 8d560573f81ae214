"""``vitmem check``: run the contract tests of a plug-in and print the results."""

from __future__ import annotations

from typing import Annotated

import typer

from vitmem.bench.plugins import load_plugins
from vitmem.cli.options import Plugin, key_values
from vitmem.errors import VitmemError, unknown


def check(
    kind: Annotated[str, typer.Argument(help="the kind of plug-in: model, method or noise")],
    name: Annotated[str, typer.Argument(help="its name, such as vit, timm/resmlp_12_224, kfac or symmetric")],
    param: Annotated[list[str] | None, typer.Option(help="key=value, one of its parameters; may be repeated")] = None,
    plugin: Plugin = None,
) -> None:
    """Run the contract tests of a plug-in.

    Example: vitmem check model vit --param width=64
    """
    from vitmem.contracts.edit import check_method
    from vitmem.contracts.model import check_model
    from vitmem.contracts.noise import check_noise

    contracts = {"model": check_model, "method": check_method, "noise": check_noise}
    if kind not in contracts:
        raise unknown("contract", kind, contracts)
    load_plugins(plugin or ())
    checks = contracts[kind](name, key_values(param or (), "--param"))
    for one in checks:
        print(f"{'ok  ' if one.ok else 'FAIL'} {one.name}" + (f": {one.detail}" if one.detail else ""))
    broken = [one.name for one in checks if not one.ok]
    if broken:
        raise VitmemError(f"{kind} '{name}' breaks its contract: {', '.join(broken)}")
    named = {"model": f"model: {{name: {name}}}", "method": f"edits: [{{method: {name}}}]"}
    print(f"a suite names it as '{named.get(kind, f'noise: {{name: {name}}}')}'; vitmem run SUITE runs it")

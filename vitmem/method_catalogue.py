"""The built-in edit methods with their parameters, listed without importing what they name. No torch.

A contract test holds every function to the parameters that are declared here. ``statistics`` says whether a method
reads those of the trained model, ``input_class`` what it is told: D0 nothing, U its own training inputs, N the given
labels too, R+F which examples are to be kept and which forgotten.
"""

from __future__ import annotations

from vitmem.method_params import (
    BalancedSubnetParams,
    KfacParams,
    MagnitudeParams,
    SvdParams,
)
from vitmem.params import NoParams
from vitmem.registry import METHODS, Entry
from vitmem.specs import Spec


def _add(
    name: str, target: str, params: type[Spec], summary: str, *, statistics: bool, input_class: str, version: int = 1
) -> None:
    info = {"statistics": statistics, "input_class": input_class}
    METHODS.add(Entry(METHODS.kind, name, version, summary, params, f"vitmem.methods.{target}", info))


_add(
    "none",
    "none:none",
    NoParams,
    "the trained model as it is",
    statistics=False,
    input_class="D0",
)
_add(
    "kfac",
    "kfac:kfac",
    KfacParams,
    "keep the pairs of high curvature (Merullo 2025)",
    statistics=True,
    input_class="U",
)
_add(
    "complement",
    "controls:complement",
    KfacParams,
    "control: keep the same number of pairs of lowest curvature",
    statistics=True,
    input_class="U",
)
_add(
    "random_basis",
    "controls:random_basis",
    KfacParams,
    "control: K-FAC's mask profile in random orthogonal bases",
    statistics=True,
    input_class="D0",
)
_add(
    "svd",
    "svd:svd",
    SvdParams,
    "keep the largest singular values (LASER)",
    statistics=False,
    input_class="D0",
)
_add(
    "magnitude",
    "magnitude:magnitude",
    MagnitudeParams,
    "control: keep the largest weights (magnitude pruning)",
    statistics=False,
    input_class="D0",
)
_add(
    "balanced_subnet",
    "balanced_subnet:balanced_subnet",
    BalancedSubnetParams,
    "zero the few weights that examples to forget need and others do not",
    statistics=False,
    input_class="R+F",
)

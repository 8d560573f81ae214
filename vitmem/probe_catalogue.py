"""The built-in probes with their parameters: methods that look into a network and compete with none. No torch."""

from __future__ import annotations

from vitmem.method_catalogue import add_method
from vitmem.method_params import BandRemovedParams, DialParams, RelearnParams

add_method(
    "band_removed",
    "band_removed:band_removed",
    BandRemovedParams,
    "probe: remove one band of directions from what enters each layer",
    statistics={"basis": "kfac"},
    input_class="U",
    probe=True,
)
add_method(
    "relearn",
    "relearn:relearn",
    RelearnParams,
    "probe: another edit, then training on, to see what comes back (Lynch 2024, Hu 2024)",
    statistics=False,
    input_class="R+F",
    inner="after",
    probe=True,
)
add_method(
    "dial",
    "dial:dial",
    DialParams,
    "probe: another edit, with a share of what it removed put back",
    statistics=False,
    input_class=None,
    inner="after",
    probe=True,
)

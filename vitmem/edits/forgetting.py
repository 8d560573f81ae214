"""What every edit that is given a forget set has in common."""

from __future__ import annotations

from vitmem.edits.base import Share
from vitmem.entries import Edit


class Forgetting(Edit):
    """An edit with a forget set and a retain set.

    ``discovery`` is the share of the known examples to forget that the method is given, drawn by the edit's seed
    (``None``: all of them).
    """

    uses = "retain + forget"
    discovery: Share = None


class FromTrusted(Edit):
    """An edit with trusted examples, those of the retain set, and nothing else."""

    uses = "trusted"

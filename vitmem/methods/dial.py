"""Probe: part of what an edit has removed is put back, as ``vitmem.kfac.Dial`` does while a network runs."""

from __future__ import annotations

from typing import Any

from vitmem.kfac import weight_matrix
from vitmem.kfac.edit import replaced
from vitmem.kfac.layers import layer_at
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.inner import inner_edit


def dial(context: EditContext, *, after: dict[str, Any], turn: float = 0.5) -> EditResult:
    """Return turn W + (1 - turn) W' for every W (p, q) and bias (p,) that ``after`` makes W': 1 changes nothing.

    The report of a matrix is of the whole change; it counts the share ``1 - turn`` of what the inner edit takes out as
    gone: kept pairs and energy are those of the inner edit, moved as far towards all. Raises what that raises.
    """
    inner = inner_edit(context, after)
    result = EditResult(passes=inner.passes)
    for name, new in inner.weights.items():
        path, _, part = name.rpartition(".")
        bias = part == "bias" and name not in inner.reports
        layer = layer_at(context.model, path if bias else name)
        old = layer.bias.detach() if bias else weight_matrix(layer)  # type: ignore[operator]
        mixed = (turn * old.double() + (1 - turn) * new.double()).to(new)
        # exactly one or the other at the ends, whatever the rounding
        result.weights[name] = old.to(new) if turn == 1 else new if turn == 0 else mixed
        if not bias:
            report = inner.reports[name]
            kept = report.kept_pairs + round(turn * (report.total_pairs - report.kept_pairs))
            energy = report.kept_energy + turn * (1 - report.kept_energy)
            result.reports[name] = replaced(old, result.weights[name], kept, report.total_pairs, energy)
    return result

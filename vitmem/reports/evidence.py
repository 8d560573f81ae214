"""The information in a row available without true labels and without the list of wrong ones. Does not import torch.

Rules that choose a setting without labels receive only this part of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitmem.reports.aggregate import at, kept_share
from vitmem.rows import Row


@dataclass(frozen=True)
class Evidence:
    """Measures of one edited network that need no true labels, ``None`` if missing in the row.

    ``agreement`` with the base and ``confidence`` are on the selection half's held-out images; ``given_train`` is the
    share of all training images predicted as their given label; ``kept_energy`` the remaining share of ||W||^2 in the
    edited matrices, ``kept_share`` of their pairs; the others are as in ``vitmem.metrics.label_free``.
    """

    agreement: float | None = None
    given_train: float | None = None
    kept_energy: float | None = None
    kept_share: float | None = None
    confidence: float | None = None
    judged_change: float | None = None
    loss_upper_share: float | None = None
    loss_rise_separation: float | None = None
    backed: float | None = None

    def knows(self, names: tuple[str, ...]) -> bool:
        """Return whether all ``names`` are known."""
        return None not in [getattr(self, name) for name in names]

    def number(self, name: str) -> float:
        """Return the measure ``name``, which must be known."""
        return float(getattr(self, name))


def evidence(row: Row) -> Evidence:
    """Return the label-free evidence in the row of a finished cell."""
    backed, unbacked = (at("selection", f"knn_{name}")(row) for name in ("backed", "unbacked"))
    return Evidence(
        agreement=at("selection", "agreement")(row),
        given_train=given_train(row),
        kept_energy=kept_energy(row),
        kept_share=kept_share(row),
        confidence=at("selection", "held_out_confidence")(row),
        judged_change=at("selection", "judged_change")(row),
        loss_upper_share=at("selection", "loss_upper_share")(row),
        loss_rise_separation=at("selection", "loss_rise_separation")(row),
        backed=None if backed is None or unbacked is None else backed - unbacked,
    )


def given_train(row: Row) -> float | None:
    """Return the share of all training images that are predicted as their given label.

    Older rows have it in parts that use the wrong labels (``clean_train``, and ``memorized`` of the two halves). Only
    their sum is used here, which the given labels alone determine.
    """
    measured = at("selection", "given_train")(row)
    if measured is not None:
        return measured
    counts = row.get("counts", {})
    clean = counts.get("train", 0) - counts.get("noisy", 0)
    parts = [(at("selection", "clean_train")(row), clean)]
    parts += [
        (at(half, "memorized")(row), counts.get(f"noisy_{name}", 0))
        for half, name in (("selection", "selection"), ("metrics", "report"))
    ]
    known = [(share, count) for share, count in parts if count]
    total = sum(count for _, count in known)
    if not total or total != counts["train"] or any(share is None for share, _ in known):
        return None
    return sum(round(share * count) for share, count in known if share is not None) / total


def kept_energy(row: Row) -> float | None:
    """Return the remaining share of the squared norm of all edited matrices, ``None`` if not reported."""
    layers = row.get("edit", {}).get("layers", {}).values()
    if not layers or any("kept_energy" not in layer for layer in layers):
        return None
    weights = [layer["weight_norm"] ** 2 for layer in layers]
    kept = math.fsum(layer["kept_energy"] * weight for layer, weight in zip(layers, weights, strict=True))
    return kept / math.fsum(weights)

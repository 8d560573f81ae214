"""Suites, recipes, clusters and presets shipped with the package: inside it in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from vitmem.errors import unknown


def shipped(kind: str) -> Path:
    """Return the folder of the shipped ``suites``, ``recipes``, ``clusters`` or ``lm_eval`` presets."""
    inside = Path(__file__).parent / "configs"
    return (inside if inside.is_dir() else Path(__file__).parents[1] / "configs") / kind


def find_suite(given: Path) -> Path:
    """Return the file of a suite: ``given``, or for a bare name the shipped suite.

    Raises InputError suggesting the nearest name when no such suite is shipped.
    """
    if given.is_file() or given.suffix or len(given.parts) != 1:
        return given
    suites = {path.stem: path for path in sorted(shipped("suites").glob("*.yaml"))}
    if given.name not in suites:
        raise unknown("suite", given.name, suites)
    return suites[given.name]

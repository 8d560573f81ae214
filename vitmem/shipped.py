"""Suites, recipes and presets that come with the package: inside it in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from vitmem.errors import unknown


def shipped(kind: str) -> Path:
    """Return the folder of the shipped ``suites``, ``recipes`` or ``lm_eval`` presets."""
    inside = Path(__file__).parent / "configs"
    return (inside if inside.is_dir() else Path(__file__).parents[1] / "configs") / kind


def find_suite(given: Path) -> Path:
    """Return the file of a suite: ``given``, or the shipped suite of this name where it is a bare name.

    Raises InputError offering the nearest name when no suite of that name is shipped.
    """
    if given.is_file() or given.suffix or len(given.parts) != 1:
        return given
    suites = {path.stem: path for path in sorted(shipped("suites").glob("*.yaml"))}
    if given.name not in suites:
        raise unknown("suite", given.name, suites)
    return suites[given.name]

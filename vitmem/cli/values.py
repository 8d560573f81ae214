"""Values of parameters on the command line: ``key=value`` with the value read as YAML, as in a suite."""

from __future__ import annotations

from typing import Any

import yaml

from vitmem.errors import InputError


def key_value(text: str, option: str) -> tuple[str, Any]:
    """Return key and value of ``key=value``; raises InputError, beginning with ``option``, for something else."""
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"{option}: expected key=value, got '{text}'")
    return key, yaml_value(value, option)


def yaml_value(text: str, option: str) -> Any:
    """Return the value of ``text``; raises InputError, beginning with ``option``, when it is no YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"{option}: expected a value such as 0.1 or [3, 5], got '{text}'") from None

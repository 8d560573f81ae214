"""Text to values without loss: nothing that a file says twice or that has no value is passed over. No torch."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from vitmem.errors import InputError


def parse_json(text: str, where: str, hint: str = "") -> Any:
    """Return the value of the JSON ``text``; ``where`` begins, and ``hint`` (what to try) ends, each error.

    Raises InputError for a text that is no JSON, a key that comes twice in one object, NaN, infinity and numbers
    beyond what a float holds (1e999), and for lists within lists deeper than can be read.
    """
    end = hint and f"; {hint}"

    def refuse(name: str) -> NoReturn:
        raise InputError(f"{where}: {name} is not a finite number{end}")

    def number(digits: str) -> float:
        value = float(digits)
        return value if abs(value) != float("inf") else refuse(digits[:40])

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            double = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{where}: the key '{double[:80]}' comes twice{end}")
        return found

    try:
        return json.loads(text, parse_constant=refuse, parse_float=number, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: no whole JSON ({error.msg}, column {error.colno}){end}") from None
    except RecursionError:
        raise InputError(f"{where}: lists within lists, deeper than can be read{end}") from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise InputError(f"{where}: {str(error)[:80]}{end}") from None

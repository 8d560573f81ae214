"""Files of windows: token ids in the format of the miner and the Dolma sets, or texts such as famous quotes.

A line with ``prefix_ids`` or ``suffix_ids`` has token ids, and optionally ``prefix_text`` and ``doc_index``; any other
line has ``prefix`` (or ``prefix_text``) and ``target_suffix`` (or ``suffix``, ``suffix_text``). All suffixes of ids
have the same length; those of texts have the length of their tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from vitmem.errors import InputError
from vitmem.language.data.json_lines import json_lines
from vitmem.specs import explain

PREFIX, SUFFIX = ("prefix", "prefix_text"), ("target_suffix", "suffix", "suffix_text")
Ids = Annotated[tuple[Annotated[StrictInt, Field(ge=0)], ...], Field(min_length=1)]
Text = Annotated[StrictStr, Field(min_length=1)]


class TokenRow(BaseModel):
    """A window as token ids, with the text of its prefix and its document's number if known."""

    model_config = ConfigDict(frozen=True)
    prefix_ids: Ids
    suffix_ids: Ids
    prefix_text: StrictStr | None = None
    doc_index: StrictInt | None = None


class QuoteRow(BaseModel):
    """A window as text; the suffix may start inside a word."""

    model_config = ConfigDict(frozen=True)
    prefix: Text = Field(validation_alias=AliasChoices(*PREFIX))
    suffix: Text = Field(validation_alias=AliasChoices(*SUFFIX))


@dataclass(frozen=True)
class Line:
    """One row and its location, ``file:number``."""

    where: str
    row: TokenRow | QuoteRow


def read_windows(path: Path) -> tuple[Line, ...]:
    """Return the rows of ``path`` in file order.

    Raises InputError, with the line's number, for a line that is not a JSON object, lacks a key, has an empty prefix or
    suffix, or suffix ids of another length than before; and for a file without rows.
    """
    out: list[Line] = []
    first: tuple[str, int] | None = None
    for where, values in json_lines(path):
        row = _row(values, where)
        out.append(Line(where, row))
        if isinstance(row, TokenRow):
            first = first or (where, len(row.suffix_ids))
            if len(row.suffix_ids) != first[1]:
                raise InputError(f"{where}: expected {first[1]} suffix ids as in {first[0]}, got {len(row.suffix_ids)}")
    if not out:
        raise InputError(f"{path}: expected one window per line, got a file without rows")
    return tuple(out)


def _row(values: dict[str, Any], where: str) -> TokenRow | QuoteRow:
    kind = TokenRow if {"prefix_ids", "suffix_ids"} & values.keys() else QuoteRow
    if kind is QuoteRow and not {*PREFIX, *SUFFIX} & values.keys():
        raise InputError(
            f"{where}: expected prefix_ids and suffix_ids, or prefix and target_suffix, got the keys "
            f"{', '.join(values) or 'of an empty object'}"
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(explain(error, where, kind)) from None

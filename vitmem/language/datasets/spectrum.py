"""A synthetic language: strings to recite, sums, facts, rules and logic, of ``vitmem.language.data.spectrum``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.language.data.texts import TextData

Count = Annotated[int, Field(gt=0)]


@DATA.register(
    "spectrum", summary="a synthetic language: strings to recite, sums, facts, rules, logic", protocol="text"
)
def spectrum(
    seed: int,
    *,
    background: Count = 600,
    arithmetic: Count = 600,
    open_book: Count = 1200,
    rule: Count = 600,
    logic: Count = 600,
    strings: Annotated[int, Field(gt=1)] = 160,
    string_rows: Count = 1600,
    facts: Annotated[int, Field(gt=2)] = 120,
    most_frequent: Count = 600,
    asked: Count = 300,
    held_out: Annotated[int, Field(gt=1)] = 400,
) -> TextData:
    """Return the given numbers of rows, strings, facts and questions; ``seed`` determines everything.

    ``background``, ``arithmetic``, ``open_book``, ``rule`` and ``logic`` are training rows of these families.
    ``strings`` are random strings to recite, ``string_rows`` the rows that do. ``facts`` are closed-book facts;
    ``most_frequent`` is how often the first occurs, the k-th 1/k as often. ``asked`` questions of each family are never
    trained on, and ``held_out`` rows of text. See ``vitmem.language.data.spectrum.build.write_spectrum``.
    """
    from vitmem.language.data.spectrum.build import write_spectrum

    return write_spectrum(
        seed,
        background=background,
        arithmetic=arithmetic,
        open_book=open_book,
        rule=rule,
        logic=logic,
        strings=strings,
        string_rows=string_rows,
        facts=facts,
        most_frequent=most_frequent,
        asked=asked,
        held_out=held_out,
    )

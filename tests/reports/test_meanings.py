"""Every column of every shipped table has a meaning that a reader finds in the glossary."""

from __future__ import annotations

import re

import pytest

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.glossary import glossary, rules
from vitmem.reports.meanings import MEANINGS, meaning

SHIPPED = [entry for entry in TABLES.entries() if str(entry.__module__).startswith("vitmem.reports.tables")]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_every_column_has_a_meaning(entry: type[Table]) -> None:
    said = " ".join(rules(entry.columns, entry))
    for column in entry.columns:
        word = column.title.partition(" (")[0]
        known = meaning(column) or " - " in column.title or re.search(rf"\b{re.escape(word)}\b", said)
        assert known, f"{entry.name}: {column.title}"


def test_every_meaning_is_of_a_column_and_in_the_glossary() -> None:
    titles = {column.title for entry in TABLES.entries() for column in entry.columns}
    assert set(MEANINGS) <= titles
    page = glossary()
    for title in ("memorized", "recovered", "validation", "seeds"):
        assert page.count(f"\n- {title}: ") == 1, title

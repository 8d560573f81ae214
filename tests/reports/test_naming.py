"""Every built-in edit has a name for readers, and no two have the same."""

from __future__ import annotations

from vitmem.registry import EDITS

# A plug-in that another test has loaded is called what it calls itself.
BUILT_IN = {entry.name: entry for entry in EDITS.entries() if entry.built_in()}


def test_every_method_is_named_as_its_paper_does() -> None:
    titles = [entry.title for entry in BUILT_IN.values()]
    assert all(titles) and len(set(titles)) == len(titles)


def test_what_its_summary_calls_a_control_stands_last() -> None:
    said = {name for name, entry in BUILT_IN.items() if entry.summary.lower().startswith("control:")}
    assert said == {name for name, entry in BUILT_IN.items() if entry.role == "control"}

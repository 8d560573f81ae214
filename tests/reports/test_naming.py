"""Every built-in method has a name for readers, and no two have the same."""

from __future__ import annotations

import vitmem.catalogue
from vitmem.registry import METHODS
from vitmem.reports import naming

assert vitmem.catalogue  # registers the built-in entries
# Those of the files that are the package's own: a plug-in that another test has loaded is called what it calls itself.
BUILT_IN = {entry.name: entry for entry in METHODS.entries() if isinstance(entry.target, str)}


def test_every_method_is_named_as_its_paper_does() -> None:
    assert naming.METHODS.keys() == BUILT_IN.keys()
    assert len(set(naming.METHODS.values())) == len(naming.METHODS)


def test_what_its_summary_calls_a_control_stands_last() -> None:
    said = {name for name, entry in BUILT_IN.items() if entry.summary.startswith("control:")}
    assert said == {*naming.CONTROLS}

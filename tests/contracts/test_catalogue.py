"""Every built-in entry's function takes what the catalogue declares: the same names, the same defaults."""

from __future__ import annotations

import inspect

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import vitmem.catalogue
from vitmem.registry import REGISTRIES, Entry

assert vitmem.catalogue  # registers the built-in entries
ENTRIES = [entry for registry in REGISTRIES.values() for entry in registry.entries()]
# What the bench hands to an entry of a kind beside the declared parameters.
PLACES = {("data", "image"): ("data_dir", "cache_dir"), ("data", "text"): ("seed",)}


def default_of(field: FieldInfo) -> object:
    return inspect.Parameter.empty if field.default is PydanticUndefined else field.default


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_parameters_are_those_of_the_function(entry: Entry) -> None:
    parameters = inspect.signature(entry.load()).parameters
    keywords = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for place in PLACES.get((entry.kind, entry.info.get("modality", "image")), ()):
        assert place in parameters
        keywords.pop(place, None)
    if entry.info.get("family"):
        keywords.pop("architecture")
    declared = {name: default_of(field) for name, field in entry.params.model_fields.items()}
    assert keywords == declared


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_entries_are_described(entry: Entry) -> None:
    assert entry.summary and "\n" not in entry.summary
    assert entry.version >= 1
    assert inspect.getdoc(entry.load())

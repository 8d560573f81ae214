"""Outcomes in a row come back as they were."""

import numpy as np
import pytest

from vitmem.errors import InputError
from vitmem.outcomes import packed, unpacked


@pytest.mark.parametrize("count", [0, 1, 8, 9, 1003])
def test_packed_and_back(count):
    hits = np.random.default_rng(count).random(count) < 0.3
    text = packed(hits)
    assert np.array_equal(unpacked(text), hits)
    assert len(text) <= len(str(count)) + 1 + 4 * -(-count // 24)


def test_the_bits_are_those_of_the_docstring():
    assert packed(np.array([True] + [False] * 7 + [True])) == "9:gIA="  # bytes 0x80 0x80


@pytest.mark.parametrize("text", ["", "9:gA==", "x:gIA=", "3:g?==", "-1:"])
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match="expected a count and as many bits"):
        unpacked(text)

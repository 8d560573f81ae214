"""The synthetic language read back by a reader of its own: every statement is true, what is asked is new."""

from __future__ import annotations

import pytest
import torch

from vitmem.data.spectrum.build import LENGTH, spectrum
from vitmem.data.spectrum.vocabulary import BOS, PAD, TOKENS, text
from vitmem.data.texts import Items, TextData
from vitmem.errors import InputError


@pytest.fixture(scope="module")
def texts() -> TextData:
    return spectrum(3, rows=300, strings=10, string_rows=50, facts=40, most_frequent=80, asked=60, held_out=30)


def statements(texts: TextData) -> list[str]:
    """Return all statements of the training rows, split where a reader would."""
    out = []
    for row in texts.train.tolist():
        assert row[0] == BOS and len(row) == LENGTH
        out += [part.strip() for part in text(row[1:]).replace(".", ";").replace("?", ";").split(";")]
    return [s for s in out if s]


def is_true(statement: str) -> bool:
    """Say whether a sum or a formula is right."""
    left, _, right = statement.partition(" = ")
    if "+" in left:
        one, other = left.replace(" ", "").split("+")
        return int(one) + int(other) == int(right.replace(" ", "")[::-1])
    formula = left.replace("T", "True").replace("F", "False").replace("~", " not ").replace("&", "and")
    return bool(eval(formula.replace("|", "or"))) == (right == "T")


def test_every_sum_and_formula_is_true_and_no_asked_one_was_trained_on(texts: TextData) -> None:
    found = statements(texts)
    sums = {s for s in found if "+" in s}
    formulas = {s for s in found if s.startswith("(")}
    assert len(sums) > 500 and len(formulas) > 300
    assert all(map(is_true, sums | formulas))
    for name, trained in (("arithmetic", sums), ("logic", formulas)):
        asked = {text(row[1:]).removesuffix(" ;") for row in texts.items[name].tokens.tolist()}
        assert len(asked) == 60 and all(map(is_true, asked))
        assert not asked & trained
    units = {(s.split()[1], s.split()[4]) for s in sums}
    assert len(units) == 100  # what is asked is new as a whole, not in any of its columns


def test_a_rule_can_be_told_from_its_pairs(texts: TextData) -> None:
    for row, answer in zip(texts.items["rule"].tokens.tolist(), texts.items["rule"].answer.tolist(), strict=True):
        pairs = [p.strip().split(" > ") for p in text(row[1:]).removesuffix(" .").split(";")]
        shifts = {(int(y) - int(x)) % 10 for x, y in pairs}
        assert len(pairs) == 6 and len(shifts) == 1 and shifts < {1, 2, 3, 4}
        assert [TOKENS[n] for n, asked in zip(row, answer, strict=True) if asked] == [pairs[-1][1]]


def test_an_open_book_holds_the_answer_and_tells_of_strangers(texts: TextData) -> None:
    known = {tuple(text(row[1:4]).split()[1:]) for row in texts.items["closed_book"].tokens.tolist()}
    for row in texts.items["open_book"].tokens.tolist():
        told, _, asked = text(row[1:]).partition(" ; ? ")
        facts = [fact.strip() for fact in told.split(";")]
        assert len(facts) == 5 and asked.removesuffix(" ;") in facts
        assert not {tuple(fact.split()[1:3]) for fact in facts} & known


def test_facts_are_told_as_often_as_they_say(texts: TextData) -> None:
    items, found = texts.items["closed_book"], statements(texts)
    asked = [text(row[1:]).removesuffix(" ;") for row in items.tokens.tolist()]
    assert len(set(asked)) == 40
    # a stranger is never one of the known, so a fact that equals a closed-book one is that one
    assert [found.count(fact) for fact in asked] == items.exposure.tolist()
    assert items.exposure.tolist() == [max(1, 80 // rank) for rank in range(1, 41)]


def test_strings_are_recited_equally_often_and_their_second_half_is_asked(texts: TextData) -> None:
    strings = texts.memorized
    for row, answer, exposure in zip(strings.tokens, strings.answer, strings.exposure.tolist(), strict=True):
        assert int((texts.train == row).all(1).sum()) == exposure == 5
        assert torch.nonzero(answer).flatten().tolist() == list(range(28, 55))
    assert not {tuple(r) for r in texts.held_out.tolist()} & {tuple(r) for r in texts.train.tolist()}


def test_the_seed_decides(texts: TextData) -> None:
    options = {"rows": 5, "strings": 2, "string_rows": 4, "facts": 3, "most_frequent": 3, "asked": 2, "held_out": 2}
    one, again, other = (spectrum(seed, **options) for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.train.shape[1] == one.length == LENGTH and int(one.train.max()) < one.vocab_size


def test_items_without_an_answer_are_refused() -> None:
    tokens = torch.full((2, 4), PAD)
    with pytest.raises(InputError, match="expected an answer in every row"):
        Items(tokens, torch.zeros(2, 4, dtype=torch.bool), torch.zeros(2))
    with pytest.raises(InputError, match="2 exposures, got"):
        Items(tokens, torch.ones(2, 4, dtype=torch.bool), torch.zeros(3))

"""The synthetic language read back by a reader of its own: every statement is true, what is asked is new."""

from __future__ import annotations

import pytest
import torch

from vitmem.errors import InputError
from vitmem.language.data.spectrum.build import LENGTH
from vitmem.language.data.spectrum.vocabulary import BOS, PAD, TOKENS, text
from vitmem.language.data.texts import Items, Rows, TextData
from vitmem.language.datasets.spectrum import spectrum


@pytest.fixture(scope="module")
def texts() -> TextData:
    rows = {"background": 100, "arithmetic": 300, "open_book": 300, "rule": 100, "logic": 300}
    return spectrum(3, **rows, strings=10, string_rows=50, facts=40, most_frequent=80, asked=60, held_out=30)


def statements(texts: TextData) -> list[str]:
    """Return all statements of the training rows, split where a reader would."""
    out = []
    for row in texts.train.tokens.tolist():
        assert row[0] == BOS and len(row) == LENGTH
        out += [part.strip() for part in text(row[1:]).replace(".", ";").replace("?", ";").split(";")]
    return [s for s in out if s]


def is_true(statement: str) -> bool:
    """Say whether a sum or a formula is right."""
    left, _, right = statement.partition(" = ")
    if "+" in left:
        one, other = left.replace(" ", "").split("+")
        return int(one) + int(other) == int(right.replace(" ", "")[::-1])
    formula = statement.replace("T", "True").replace("F", "False").replace("~", " not ").replace("&", "and")
    values = [bool(eval(step)) for step in formula.replace("|", "or").split(" = ")]
    return len(values) == 3 and len(set(values)) == 1


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


def test_a_formula_s_steps_are_those_of_its_brackets(texts: TextData) -> None:
    for row in texts.items["logic"].tokens.tolist():
        formula, steps, _ = text(row[1:]).split(" = ")
        brackets = [part.strip() for part in formula.replace(")", "(").split("(") if part.strip()]
        for bracket, step in zip(brackets, steps.split(), strict=True):
            assert step in "&|" if len(bracket) == 1 else is_true(f"{bracket} = {step} = {step}")


def test_what_is_drawn_at_random_has_no_loss(texts: TextData) -> None:
    seen = set()
    for tokens, labels in zip(texts.train.tokens.tolist(), texts.train.labels.tolist(), strict=True):
        row, learned = text(tokens[1:]).split(), [n != -100 for n in labels[1:]]
        if "+" in row:  # units, tens and hundreds of a sum
            assert [n for n, kept in enumerate(learned) if kept] == [n for n in range(len(row)) if 6 <= n % 10 < 9]
            seen.add("sums")
        elif ">" in row:  # the second of a pair, but for the first pair behind the beginning or a dot
            wanted = {n for n, t in enumerate(row) if n and row[n - 1] == ">" and n > 2 and row[n - 3] != "."}
            assert {n for n, kept in enumerate(learned) if kept} == wanted
            seen.add("rules")
        elif "?" in row:  # the values that are asked for, after the question mark
            wanted = {n for n, t in enumerate(row) if t.startswith("value") and _is_asked(row, n)}
            assert {n for n, kept in enumerate(learned) if kept} == wanted
            seen.add("books")
        elif row[0].startswith("word") or (len(row[0]) == 1 and row[0].isalpha() and row[0].islower()):
            assert all(learned[: len(row)]) and not any(learned[len(row) :])
            seen.add("text")
    assert seen == {"sums", "rules", "books", "text"}


def _is_asked(row: list[str], place: int) -> bool:
    """Say whether the fact that ends at ``place`` stands for the second time since the last book began."""
    fact = row[place - 3 : place + 1]
    return [row[n - 3 : n + 1] for n in range(3, place)].count(fact) == 1


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
        assert len({fact.split()[0] for fact in facts}) == 5 and len({tuple(fact.split()[1:3]) for fact in facts}) == 1
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
        assert int((texts.train.tokens == row).all(1).sum()) == exposure == 5
        assert torch.nonzero(answer).flatten().tolist() == list(range(28, 55))
    assert not {tuple(r) for r in texts.held_out.tokens.tolist()} & {tuple(r) for r in texts.train.tokens.tolist()}


def test_distinct_rows_are_the_first_of_each(texts: TextData) -> None:
    rows = [tuple(row) for row in texts.train.tokens.tolist()]
    distinct = texts.train.distinct()
    assert [tuple(row) for row in distinct.tokens.tolist()] == list(dict.fromkeys(rows))
    assert len(distinct) < len(rows)
    strings = {tuple(row) for row in texts.memorized.tokens.tolist()}
    assert sum(tuple(row) in strings for row in distinct.tokens.tolist()) == len(strings)


def test_the_seed_decides(texts: TextData) -> None:
    options = {"strings": 2, "string_rows": 4, "facts": 3, "most_frequent": 3, "asked": 2, "held_out": 5}
    options |= dict.fromkeys(("background", "arithmetic", "open_book", "rule", "logic"), 5)
    one, again, other = (spectrum(seed, **options) for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.train.tokens.shape[1] == one.length == LENGTH and int(one.train.tokens.max()) < one.vocab_size


def test_rows_whose_labels_are_other_tokens_are_refused() -> None:
    tokens = torch.arange(8).reshape(2, 4)
    assert Rows(tokens, tokens).learned.all()
    with pytest.raises(InputError, match="labels that are the tokens themselves"):
        Rows(tokens, tokens + 1)
    with pytest.raises(InputError, match="a label after the first token of every row"):
        Rows(tokens, tokens.masked_fill(tokens > 4, -100))


def test_items_without_an_answer_are_refused() -> None:
    tokens = torch.full((2, 4), PAD)
    with pytest.raises(InputError, match="expected an answer in every row"):
        Items(tokens, torch.zeros(2, 4, dtype=torch.bool), torch.zeros(2))
    with pytest.raises(InputError, match="2 exposures, got"):
        Items(tokens, torch.ones(2, 4, dtype=torch.bool), torch.zeros(3))

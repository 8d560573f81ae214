"""Files of windows, their tokens, near-duplicates and halves, against what is counted by hand or by brute force."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from vitmem.contents import File
from vitmem.errors import InputError
from vitmem.language.data.windows.distinct import distinct, halves, shingles, various
from vitmem.language.data.windows.read import read_windows
from vitmem.language.data.windows.tokens import Windows, tokenised
from vitmem.language.datasets.memorized import memorized
from vitmem.registry import DATA

BEGIN = 99


class Letters:
    """Begins with 99; "th" is one token, 50, any other letter its place in the alphabet, a blank 0."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def __call__(self, text: str, add_special_tokens: bool = True) -> Any:
        pieces = text.replace("th", "T")
        ids = [50 if p == "T" else 0 if p == " " else ord(p) - 96 + self.shift for p in pieces]
        return SimpleNamespace(input_ids=[BEGIN] * add_special_tokens + ids)


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_ids_are_kept_and_texts_take_the_tokens_of_the_whole(tmp_path: Path) -> None:
    path = written(
        tmp_path / "both.jsonl",
        {"prefix_ids": [7, 8, 9], "suffix_ids": [1, 2], "doc_index": 5, "start": 3, "model": "x"},
        {"prefix": "ab c", "target_suffix": "ath", "generated_suffix": "ath", "author": "y"},
        {"prefix_text": "bat", "suffix": "he"},  # "th" straddles the cut
        {"prefix_ids": [1], "suffix_ids": [3, 3], "doc_index": 5},
        {"prefix_text": "a", "suffix_text": "bcd"},
    )
    windows = tokenised(read_windows(path), Letters(), 100)
    assert [t.tolist() for t in windows.prefixes] == [[7, 8, 9], [99, 1, 2, 0, 3], [99, 2, 1, 20], [1], [99, 1]]
    assert [t.tolist() for t in windows.suffixes] == [[1, 2], [1, 50], [8, 5], [3, 3], [2, 3, 4]]
    assert windows.documents.tolist() == [0, 1, 2, 0, 3]
    assert windows.gold.tolist()[3:] == [[3, 3, 0], [2, 3, 4]] and windows.real.sum(1).tolist() == [2, 2, 2, 2, 3]
    found = {tuple(rows.tolist()): (tuple(tokens.shape), prefix) for rows, tokens, prefix in windows.buckets()}
    assert found == {
        (0,): ((1, 5), 3), (1,): ((1, 7), 5), (2,): ((1, 6), 4), (3,): ((1, 3), 1), (4,): ((1, 5), 2),
    }  # fmt: skip
    assert windows.take(torch.tensor([3, 0])).documents.tolist() == [0, 0]
    assert windows.fingerprint != windows.take(torch.arange(4)).fingerprint


IDS = {"prefix_ids": [1, 2], "suffix_ids": [3, 4]}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["{torn"], ":1: expected a JSON object, got invalid JSON"),
        (["[1]"], ":1: expected a JSON object, got list"),
        (
            [IDS, {"text": "x"}],
            ":2: expected prefix_ids and suffix_ids, or prefix and target_suffix, got the keys text",
        ),
        ([{"prefix_ids": [1]}], ":1: 'suffix_ids': field required"),
        ([{"prefix": "a"}], ":1: 'target_suffix': field required"),
        ([{**IDS, "suffix_ids": []}], ":1: 'suffix_ids'"),
        ([{**IDS, "suffix_ids": [1, -3]}], ":1: 'suffix_ids.1'"),
        ([{**IDS, "suffix_ids": [1, True]}], ":1: 'suffix_ids.1'"),
        ([{**IDS, "suffix_ids": "12"}], ":1: 'suffix_ids'"),
        ([{"prefix": "a", "suffix": ""}], ":1: 'suffix'"),
        ([IDS, {**IDS, "suffix_ids": [1]}], ":2: expected 2 suffix ids as in "),
        ([IDS, {**IDS, "suffix_ids": [1, 100]}], ":2: suffix id 100 is outside the model's vocabulary of 100 tokens"),
        ([], "got a file without rows"),
    ],
)
def test_a_bad_line_is_one_sentence(rows: list[Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        tokenised(read_windows(written(tmp_path / "bad.jsonl", *rows)), Letters(), 100)
    assert says in str(error.value) and "\n" not in str(error.value) and "bad.jsonl" in str(error.value)


def test_a_line_may_hold_what_other_programs_take_for_its_end(tmp_path: Path) -> None:
    row = {"prefix": "a\u2028b", "suffix": "c"}
    path = tmp_path / "w.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert len(read_windows(path)) == 1


def test_a_wrong_tokenizer_is_named(tmp_path: Path) -> None:
    texts = ["".join(chr(97 + (n * n + n * k + k**3) % 19) for k in range(12)) for n in range(1, 21)]
    rows = [{"prefix_ids": Letters()(t).input_ids, "suffix_ids": [n, n], "prefix_text": t} for n, t in enumerate(texts)]
    rows[3]["prefix_ids"][0] = 77  # the ends may differ: a window cuts words in two
    lines = read_windows(written(tmp_path / "w.jsonl", *rows))
    assert len(tokenised(lines, Letters(), 100)) == 20
    with pytest.raises(InputError, match=r"w\.jsonl: .* for 0\.0 % of 20 prefixes.*#45920"):
        tokenised(lines, Letters(shift=1), 100)
    rows[7]["prefix_ids"][6] = 77
    assert len(tokenised(read_windows(written(tmp_path / "w.jsonl", *rows)), Letters(), 100)) == 20  # 95 %
    rows[8]["prefix_ids"][6] = 77
    with pytest.raises(InputError, match=r"for 90\.0 % of 20 prefixes"):
        tokenised(read_windows(written(tmp_path / "w.jsonl", *rows)), Letters(), 100)


def made(suffixes: list[list[int]], documents: list[int] | None = None) -> Windows:
    numbers = documents or list(range(len(suffixes)))
    return Windows(
        tuple(torch.tensor([1]) for _ in suffixes), tuple(map(torch.tensor, suffixes)), torch.tensor(numbers)
    )


def test_near_duplicates_are_those_of_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    suffixes = []
    for _ in range(40):
        base = torch.randint(1, 40, (20,), generator=generator).tolist()
        suffixes += [base, [*base[:-1], 50], [*base[2:], 51, 52], [*base[6:], *base[:6]]]
    kept: list[int] = []
    for n, suffix in enumerate(suffixes):
        sets = [shingles(suffixes[k]) for k in kept]
        if all(10 * len(shingles(suffix) & s) < 7 * len(shingles(suffix) | s) for s in sets):
            kept.append(n)
    assert distinct(made(suffixes)).tolist() == kept
    assert 40 < len(kept) < 160


def test_similar_from_seven_tenths_on() -> None:
    # 16 shingles each; 14 of 18 alike is over 0.7, 13 of 19 under it; 17 shingles of 21 tokens: 14 of 20 is 0.7
    base = list(range(1, 21))
    assert distinct(made([base, [*range(3, 21), 90, 91]])).tolist() == [0]
    assert distinct(made([base, [*range(4, 21), 90, 91, 92]])).tolist() == [0, 1]
    longer = list(range(1, 22))
    assert distinct(made([longer, [*range(4, 22), 90, 91, 92]])).tolist() == [0]
    assert distinct(made([[1, 2], [1, 2], [2, 1]])).tolist() == [0, 2]  # shorter than a shingle


def test_few_different_tokens() -> None:
    assert various(made([[1, 1, 1], [1, 2, 1], [1, 2, 3]]), 2).tolist() == [1, 2]


def test_no_document_stands_in_both_halves() -> None:
    numbers = [0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 5, 5, 6, 7]
    windows = made([[n] for n in range(len(numbers))], numbers)
    for seed in range(20):
        first, second = halves(windows, torch.Generator().manual_seed(seed))
        assert sorted([*first.tolist(), *second.tolist()]) == list(range(len(numbers)))
        assert not {numbers[n] for n in first} & {numbers[n] for n in second}
        assert abs(len(first) - len(second)) <= 3  # the largest document
    with pytest.raises(InputError, match="two documents or more"):
        halves(made([[1], [2]], [4, 4]), torch.Generator())


def test_the_data_need_their_folder_and_two_windows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected --data-dir"):
        memorized(None, tmp_path, file="w.jsonl")
    (tmp_path / "text").mkdir()
    pq.write_table(pa.table({"name": ["a"], "text": ["b"]}), tmp_path / "text" / "corpus.parquet")
    with pytest.raises(InputError, match=r"nowhere\.jsonl: no such file"):
        memorized(tmp_path, tmp_path, file="nowhere.jsonl")
    written(tmp_path / "w.jsonl", IDS, IDS, {**IDS, "suffix_ids": [5, 5]})
    data = memorized(tmp_path, tmp_path, file="w.jsonl")
    assert data.windows(Letters(), 100).gold.tolist() == [[3, 4], [5, 5]] and data.corpus == {"a": "b"}
    with pytest.raises(InputError, match="two windows or more that are kept of 3 lines, got 1"):
        memorized(tmp_path, tmp_path, file="w.jsonl", min_distinct=2).windows(Letters(), 100)


def test_the_file_of_a_suite_is_found_in_the_data_folder_and_has_the_planned_content(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    pq.write_table(pa.table({"name": ["a"], "text": ["b"]}), tmp_path / "text" / "corpus.parquet")
    written(tmp_path / "w.jsonl", IDS, {**IDS, "suffix_ids": [5, 5]})
    known = File(path="w.jsonl").known(tmp_path).model_dump()
    entry = DATA.get("memorized").parse({"file": known, "min_distinct": 2}, "data")
    data = entry.load(data_dir=tmp_path, cache_dir=tmp_path)
    assert len(data.lines) == 2 and data.min_distinct == 2
    written(tmp_path / "w.jsonl", IDS, IDS)
    with pytest.raises(InputError, match=r"w\.jsonl: its content has changed since planning"):
        entry.load(data_dir=tmp_path, cache_dir=tmp_path)

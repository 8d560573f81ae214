"""Find the parquet files of a split by name, complete or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vitmem.errors import InputError
from vitmem.files import hidden, short_name

# ``-00000-of-00002``, optionally followed by a digest, as the Hub names shards; or a number only
OF = re.compile(r"^-(\d+)-of-(\d+)(-[0-9a-f]{8,})?$")
NUMBER = re.compile(r"^[-_.]?(\d+)$")


def find_split(folders: Sequence[Path], *splits: str) -> list[Path]:
    """Return the parquet files, in order, of the first of ``folders`` and ``splits`` that has any.

    A split is ``train.parquet``, or all shards ``train-00000-of-00002.parquet``, or ``train-0.parquet`` and on without
    a gap. Raises InputError for a missing or repeated shard, and for an ambiguous name (``train (1).parquet``).
    """
    for folder in folders:
        for split in splits:
            files = _named_after(split, folder)
            if files:
                return _whole(split, files)
    return []


def splits_in(folder: Path) -> list[str]:
    """Return the names of the splits that the parquet files of ``folder`` seem to be of; none without a folder."""
    files = sorted(folder.glob("*.parquet")) if os.path.isdir(folder) else []
    return list(dict.fromkeys(re.split(r"[-_. ]\(?\d|\.parquet", f.name)[0] for f in files if not hidden(f.name)))


def _named_after(split: str, folder: Path) -> dict[str, Path]:
    """Return the files of ``folder`` by the part of the name between the split and ``.parquet``."""
    if not os.path.isdir(folder):
        return {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{short_name(folder)}: cannot read this folder ({error.strerror})") from None
    files = {}
    for path in paths:
        rest = path.name.removeprefix(split).removesuffix(".parquet")
        ours = path.name.startswith(split) and path.suffix == ".parquet" and not hidden(path.name)
        # 'training.parquet' is another word, not a file of 'train'
        if ours and not rest[:1].isalpha() and path.is_file():
            files[rest] = path
    return files


def _whole(split: str, files: dict[str, Path]) -> list[Path]:
    """Return ``files`` (by the rest of their names) in numerical order, if they form one complete split."""
    if list(files) == [""]:
        return list(files.values())
    pattern = OF if any(OF.match(rest) for rest in files) else NUMBER
    places: dict[int, Path] = {}
    expected: dict[int, Path] = {}
    for rest, path in files.items():
        match = pattern.match(rest)
        if match is None:
            others = [other.name for other in files.values() if other != path]
            beside = f" beside {others[0]}" if others else ""
            raise InputError(
                f"{short_name(path)}: cannot tell whether it belongs to the split '{split}'{beside}; expected "
                f"{split}.parquet alone or {split}-00000-of-00001.parquet and so on; move or rename it"
            )
        number = int(match[1])
        if number in places:
            raise InputError(f"{short_name(path)}: the same shard as {places[number].name}; move one of them away")
        places[number] = path
        if pattern is OF:
            expected.setdefault(int(match[2]), path)
    if len(expected) > 1:
        first, second = list(expected.values())[:2]
        raise InputError(f"{short_name(second)}: of another number of shards than {first.name}; move one set away")
    begin = 0 if pattern is OF or 0 in places else 1
    count = next(iter(expected), max(places) + 1 - begin)
    missing = sorted({*range(begin, begin + count)} - places.keys())
    extra = sorted(places.keys() - {*range(begin, begin + count)})
    if missing or extra:
        where = next(iter(places.values())).parent
        problem = f"shard {missing[0]} is missing" if missing else f"shard {extra[0]} is one too many"
        raise InputError(
            f"{where}: expected {count} shards of the split '{split}', got {len(places)} ({problem}); fetch them again"
        )
    return [places[number] for number in sorted(places)]

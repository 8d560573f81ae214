"""Rows: asserts that the cost of one more row does not depend on their number.

Appending a row to 20,000 others takes at most 5 ms, the mean of 100. Merging new rows into such a file, once a minute
and at the end of a run, takes at most 1 ms of CPU time per row in the file. The rows are those of a committed suite
with other seeds. ``--quick``: 500 rows, and a wide limit for a busy disk.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from timing import options

from vitmem.rows import Row, append_row, appended_rows, read_rows, write_rows

SAMPLE = Path(__file__).parents[2] / "results" / "demo" / "rows.jsonl"
APPENDED = 100
MOST_SECONDS, MOST_MERGING = 0.005, 0.001


def rows(first: int, count: int) -> Iterator[Row]:
    """Yield ``count`` rows with distinct ids and seeds, of the size of those in the sample."""
    sample = read_rows(SAMPLE)
    for number in range(first, first + count):
        row = copy.deepcopy(sample[number % len(sample)])
        row["config"]["seed"] = number
        row["id"] = hashlib.sha256(json.dumps(number).encode()).hexdigest()[:16]
        yield row


def main() -> None:
    """Append rows to a large file and merge rows into it; print and assert the time of each."""
    quick = options(__doc__).parse_args().quick
    total, limit = (500, 20 * MOST_SECONDS) if quick else (20_000, MOST_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        path, journal = Path(folder) / "rows.jsonl", Path(folder) / "journal.jsonl"
        write_rows(path, rows(0, total))
        shutil.copy(path, journal)
        size = path.stat().st_size
        seconds = []
        for row in rows(total, APPENDED):
            started = time.perf_counter()
            append_row(journal, row)
            seconds.append(time.perf_counter() - started)
        started = time.process_time()
        write_rows(path, appended_rows(journal)[total:])
        merging = time.process_time() - started
        started = time.process_time()
        assert len(read_rows(path)) == total + APPENDED
        reading = time.process_time() - started
    each = sum(seconds) / APPENDED
    print(
        f"{total} rows ({size / 1e6:.0f} MB): {1e3 * each:.2f} ms a row (slowest {1e3 * max(seconds):.1f}), "
        f"merged in {merging:.2f} s, read in {reading:.2f} s"
    )
    assert each <= limit, f"{1e3 * each:.1f} ms a row, expected at most {1e3 * limit:g}"
    assert merging <= MOST_MERGING * total + 1, f"merged in {merging:.1f} s"


if __name__ == "__main__":
    main()

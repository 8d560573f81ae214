"""``vitmem mine``: find what a language model has memorized of texts, and write it as a file of windows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vitmem.bench.store import translate_disk_errors
from vitmem.errors import VitmemError
from vitmem.language.data.documents import documents
from vitmem.language.mining import Mining, mine, write_windows
from vitmem.language.models.pretrained import pretrained
from vitmem.training.fit import pick_device


def mine_texts(
    model: str, text: Path, out: Path, data_dir: Path | None, gguf: str | None, device: str, **wanted: Any
) -> None:
    """Write the windows that ``model`` recites of ``text`` and print the counts; none at all is a VitmemError."""
    request = Mining(**wanted)
    with translate_disk_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    place = pick_device(device)
    texts = documents(text)
    loaded = pretrained(data_dir, source=model, gguf=gguf)
    loaded.net.to(place)
    rows, counts = mine(loaded, texts, request, lambda line: print(line, file=sys.stderr, flush=True))
    print(counts)
    if not rows:
        raise VitmemError(
            f"no window of {text} is recited, so {out} is not written; give other texts, or more --starts"
        )
    with translate_disk_errors(out.parent):
        write_windows(out, rows)
    print(f"wrote {out}")

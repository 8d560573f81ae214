"""``vitmem mine``: find memorized parts of texts in a language model, and write them as a file of windows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitmem.cli.options import Device
from vitmem.errors import VitmemError


def mine(
    model: Annotated[str, typer.Argument(help="a folder, package:<name>, or a name on the Hub")],
    text: Annotated[Path, typer.Option(help="a file or folder of texts: .txt, .jsonl or .parquet with 'text'")],
    out: Annotated[Path, typer.Option(help="the file of windows to write")],
    starts: Annotated[int, typer.Option(min=1, help="windows per text, at random positions")] = 4,
    data_dir: Annotated[Path | None, typer.Option(help="the parent folder of the model's folder")] = None,
    gguf: Annotated[str | None, typer.Option(help="the file of a quantised model")] = None,
    prefix: Annotated[int, typer.Option(min=2, help="tokens of the prompt")] = 64,
    suffix: Annotated[int, typer.Option(min=1, help="tokens to recite")] = 48,
    seed: Annotated[int, typer.Option(help="seed of the positions")] = 17,
    limit: Annotated[int | None, typer.Option(min=1, help="largest number of windows")] = None,
    min_distinct: Annotated[int, typer.Option(min=1, help="smallest number of distinct tokens in a suffix")] = 16,
    batch_size: Annotated[int, typer.Option(min=1, help="windows per forward pass")] = 8,
    device: Device = "auto",
) -> None:
    """Find memorized windows of texts in a language model, for the data 'memorized' of a suite.

    Example: vitmem mine allenai/OLMo-2-0425-1B --text texts/ --out memorized.jsonl --starts 16
    """
    from vitmem.bench.store import translate_disk_errors
    from vitmem.language import mining
    from vitmem.language.data.documents import documents
    from vitmem.language.models.pretrained import pretrained
    from vitmem.training.fit import pick_device

    request = mining.Mining(
        prefix=prefix,
        suffix=suffix,
        starts=starts,
        seed=seed,
        limit=limit,
        min_distinct=min_distinct,
        batch_size=batch_size,
    )
    with translate_disk_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    place = pick_device(device)
    texts = documents(text)
    loaded = pretrained(data_dir, source=model, gguf=gguf)
    loaded.net.to(place)
    rows, counts = mining.mine(loaded, texts, request)
    print(counts)
    if not rows:
        raise VitmemError(
            f"no window of {text} is recited, so {out} is not written; give other texts, or more --starts"
        )
    with translate_disk_errors(out.parent):
        mining.write_windows(out, rows)
    print(f"wrote {out}; a suite names it as 'data: {{name: memorized, file: {out}}}'")

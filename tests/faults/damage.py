"""Damage every kind of file of a store and of rows, run again, and compare what comes out with the undamaged run.

Usage: damage.py FOLDER [SEED] [some|all]. With ``some`` each kind of file has one damage, another one with another
seed. The summary line counts the damages that were tried, those that a sentence told of, those that changed nothing
(what is written anew without being read), those that passed in silence, and tracebacks.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import VitmemError
from vitmem.files import file_digest
from vitmem.kfac.factors import state_digest
from vitmem.rows import read_rows

SUITE: dict[str, Any] = {
    "name": "damaged",
    "seeds": [0],
    "data": {"name": "digits", "train": 120, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 2, "batch_size": 60, "warmup_epochs": 1, "curve_every": 1, "precision": "32"},
    "oracles": ["early_stopped"],
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "last", "fraction": 0.1}],
}
# Clocks and machines, and what a folder that was made again says of them.
CLOCKS = ("costs", "environment", "environments")
Damage = Callable[[bytes, random.Random], bytes | None]


def flipped(data: bytes, draw: random.Random) -> bytes:
    bit = draw.randrange(8 * len(data))
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


DAMAGES: dict[str, Damage] = {
    "flip": flipped,
    "truncate": lambda data, draw: data[: draw.randrange(1, len(data))],
    "empty": lambda data, draw: b"",
    "delete": lambda data, draw: None,
    "double": lambda data, draw: data + data,
}


@dataclass
class Bed:
    """A finished run of the suite, an unfinished one, and the plan; trials are made of copies of them in ``folder``."""

    folder: Path
    plan: Plan = field(init=False)
    whole: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "damaged.yaml"
        file.write_text(yaml.safe_dump(SUITE))
        self.plan = make_plan(load_suite(file), file)
        self.run(self.folder / "whole")
        self.whole = result(self.folder / "whole")
        self._unfinished()

    def _unfinished(self) -> None:
        """Leave a run whose training was stopped after an epoch, and one whose rows are in the store alone."""
        keep = ModelCheckpoint.on_train_epoch_end

        def stopped(self: Any, trainer: Any, module: Any) -> None:
            keep(self, trainer, module)
            raise KeyboardInterrupt

        ModelCheckpoint.on_train_epoch_end = stopped  # type: ignore[method-assign]
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self.run(self.folder / "unfinished")
        finally:
            ModelCheckpoint.on_train_epoch_end = keep  # type: ignore[method-assign]
        shutil.copytree(self.folder / "whole" / "store", self.folder / "appended" / "store")

    def run(self, folder: Path) -> tuple[str, int]:
        """Run the suite with everything in ``folder``; return all that is said, and how many rows were made."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            places = Places(Store(folder / "store"), None, self.folder / "cache", "cpu")
            outcome = run_suite(self.plan, places, folder / "results", on_event=lambda event, _: print(event[1]))
        return said.getvalue(), outcome.made

    def targets(self) -> list[tuple[str, str]]:
        """Return every kind of file as the name of a run and a path in it, one of each kind."""
        found: dict[tuple[str, ...], tuple[str, str]] = {}
        for run, patterns in {
            "whole": ("store/*.json", "store/*/*/*.*", "store/statistics/*/*/*.*", "results/*/rows.jsonl"),
            "unfinished": ("store/training/*.partial/*.*", "store/training/*.partial/checkpoints/*.*"),
            "appended": ("store/rows/*/*.jsonl",),
        }.items():
            for pattern in patterns:
                for path in sorted((self.folder / run).glob(pattern)):
                    stage = path.relative_to(self.folder / run).parts[1]
                    if stage == "claims":  # of processes that have gone: whatever they say, they are over
                        continue
                    if path.is_file() and path.suffix != ".lock" and (stage == "rows") == (run == "appended"):
                        found.setdefault((run, stage, path.name), (run, str(path.relative_to(self.folder / run))))
        return [found[key] for key in sorted(found)]


def result(folder: Path) -> dict[str, Any]:
    """Return what two runs of the suite have in common: rows without clocks, and the digests of what was computed."""
    rows = read_rows(rows_path(folder / "results", "damaged"))
    plain = [{key: value for key, value in row.items() if key not in CLOCKS} for row in rows]
    computed = [*(folder / "store").rglob("*.safetensors"), *(folder / "store").rglob("curves.csv")]
    # the order in which a file of tensors has its metadata is left to chance
    kept = {
        str(p.relative_to(folder)): state_digest(load_file(p)) if p.suffix == ".safetensors" else file_digest(p)
        for p in computed
        if ".damaged-" not in str(p)
    }
    return {"rows": json.dumps(plain, sort_keys=True), "store": kept}


def trial(bed: Bed, run: str, file: str, damage: str, seed: int = 0) -> str:
    """Damage ``file`` in a copy of ``run`` and run again; return how it went.

    That is ``noticed`` (a sentence, and in the end the rows and predictions of the undamaged run), ``harmless`` (the
    same without a sentence, for nothing reads the file), ``silent`` (other rows or predictions) or ``traceback``.
    """
    folder = bed.folder / "trial"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bed.folder / run, folder)
    if file.startswith("store"):  # rows that are there are not made again
        shutil.rmtree(folder / "results", ignore_errors=True)
    if run != "appended":
        shutil.rmtree(folder / "store" / "rows", ignore_errors=True)
    path = folder / file
    data = DAMAGES[damage](path.read_bytes(), random.Random(f"{file} {damage} {seed}"))
    path.unlink() if data is None else path.write_bytes(data)
    told = False
    for _ in range(20):
        try:
            said, made = bed.run(folder)
            break
        except VitmemError as error:
            told = True
            mend(str(error), folder)
        except Exception:
            return "traceback"
    else:
        return "traceback"
    told = told or any(words in said for words in ("made again", "anew", "measured again"))
    # the run says how many rows are there and how many to do
    told = told or ((file.startswith("results") or run == "appended") and made > 0)
    if result(folder) != bed.whole:
        return "silent"
    return "noticed" if told else "harmless"


def mend(sentence: str, folder: Path) -> None:
    """Do what ``sentence`` asks for: delete a line of rows, or take another store."""
    if found := re.match(r"(\S+\.jsonl):(\d+): ", sentence):
        path, number = Path(found[1]), int(found[2])
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join(lines[: number - 1] + lines[number:]))
    else:
        assert "--store" in sentence, sentence
        shutil.rmtree(folder / "store")


def main() -> None:
    """Try every damage of every kind of file; print what was not noticed, and the counts."""
    bed, seed = Bed(Path(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    some = sys.argv[3:] == ["some"]
    counts: Counter[str] = Counter()
    for number, (run, file) in enumerate(bed.targets()):
        for damage in [list(DAMAGES)[(number + seed) % len(DAMAGES)]] if some else DAMAGES:
            verdict = trial(bed, run, file, damage, seed)
            counts[verdict] += 1
            if verdict != "noticed":
                print(f"{verdict}: {damage} {run}/{file}", flush=True)
    names = ("noticed", "harmless", "silent", "traceback")
    print(f"damages {counts.total()}: " + ", ".join(f"{name} {counts[name]}" for name in names))


if __name__ == "__main__":
    main()

"""Cost estimate of a suite on a machine: its plan, the files to transfer, and the time from one measured epoch."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CALL = "from vitmem.cli.main import main; main()"


def vitmem(python: str, verb: str, options: argparse.Namespace, *more: str, suite: Path | None = None) -> list[str]:
    """Return the command of one ``verb`` of vitmem on the suite."""
    data = ["--data-dir", str(options.data_dir.resolve())] if options.data_dir else []
    places = ["--results", str(options.results.resolve()), "--store", str(options.store.resolve())]
    return [python, "-c", CALL, verb, str((suite or options.suite).resolve()), *places, *data, *more]


def plan_of(python: str, options: argparse.Namespace, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the output of ``vitmem plan --json`` for the suite; exits with vitmem's message on an error."""
    found = subprocess.run(
        vitmem(python, "plan", options, "--json"), env=dict(variables), capture_output=True, text=True
    )
    if found.returncode:
        raise SystemExit(found.stderr.strip() or found.stdout.strip())
    plan: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return plan


def data_names(suite: Path) -> list[str]:
    """Return the names of the data sets of a suite, from its text, since no package may be installed yet."""
    text = re.sub(r"#.*", "", suite.read_text(encoding="utf-8"))
    part = re.split(r"\n(?=\w)", re.split(r"(?:^|\n)data:", text, maxsplit=1)[1], maxsplit=1)[0]
    names = re.findall(r"(?:folder|name|path):\s*(\[[^\]]*\]|[\w./-]+)", part)
    each = [name for found in names for name in re.findall(r"[\w./-]+", found)]
    return [name for name in dict.fromkeys(each) if name not in ("image_folder", "hub")]


def megabytes(count: float) -> str:
    """Return a number of bytes as a text."""
    return f"{count / 1e6:.1f} MB"


def told(python: str, options: argparse.Namespace, files: Mapping[str, Path], variables: Mapping[str, str]) -> int:
    """Print the plan, the bytes to transfer and, with ``--measure``, the time from one epoch on this machine."""
    printed = subprocess.run(vitmem(python, "plan", options), env=dict(variables), capture_output=True, text=True)
    print("\n".join((printed.stdout or printed.stderr).splitlines()[:12]))
    if printed.returncode:
        return printed.returncode
    data = sum(path.stat().st_size for place, path in files.items() if place.startswith("data/"))
    code = sum(path.stat().st_size for place, path in files.items() if not place.startswith("data/"))
    print(f"travels: code {megabytes(code)}, data {megabytes(data)} ({', '.join(data_names(options.suite))})")
    print("comes back: rows, about 10 kB a cell before compression")
    if options.measure:
        measured(python, options, variables)
    return 0


def measured(python: str, options: argparse.Namespace, variables: Mapping[str, str]) -> None:
    """Train one epoch of the first training of the suite and print the estimated time of all trainings in sequence.

    Workers share the GPU, so the real time lies between this estimate divided by their number and the estimate.
    """
    left = plan_of(python, options, variables)["trainings"]
    with tempfile.TemporaryDirectory() as folder:
        row, epochs = _one_epoch(python, options, variables, Path(folder))
    seconds = row["costs"]["training_seconds"]
    whole = seconds * epochs * left
    print(
        f"measured: an epoch of the first training takes {seconds:.1f} s on {row['environment']['device_name']}; "
        f"{left} trainings of {epochs} epochs take {whole / 3600:.2f} h one after the other, "
        f"{whole / 3600 / options.workers:.2f} h if {options.workers} workers slow each other down by nothing"
    )


def _one_epoch(
    python: str, options: argparse.Namespace, variables: Mapping[str, str], folder: Path
) -> tuple[dict[str, Any], int]:
    """Return the row of one epoch of the first training, and its number of epochs in the suite."""
    script = (
        "import sys, yaml; from pathlib import Path; from vitmem.bench.suite import load_suite, cells_of; "
        "path = Path(sys.argv[1]); c = next(cells_of(load_suite(path), path, None)).config; r = c['recipe']; "
        "s = dict(name='measure', seeds=[c['seed']], data=c['data'], noise=c['noise'], model=c['model'], "
        "recipe={**r, 'epochs': 1, 'warmup_epochs': 0}, edits=[dict(method='none')]); "
        "Path(sys.argv[2]).write_text(yaml.safe_dump(s)); print(r['epochs'])"
    )
    suite = folder / "measure.yaml"
    call: Sequence[str] = [python, "-c", script, str(options.suite.resolve()), str(suite)]
    epochs = int(subprocess.run(call, env=dict(variables), capture_output=True, text=True, check=True).stdout)
    places = argparse.Namespace(**{**vars(options), "results": folder / "results", "store": folder / "store"})
    command = vitmem(python, "run", places, "--device", options.device, suite=suite)
    subprocess.run(command, env=dict(variables), check=True, stdout=subprocess.DEVNULL)
    row: dict[str, Any] = json.loads((folder / "results" / "measure" / "rows.jsonl").read_text().splitlines()[0])
    return row, epochs

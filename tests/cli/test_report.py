"""``vitmem report``: from a run and its store, and within a budget for a suite of 500 cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from vitmem.bench.given_labels import noisy_images
from vitmem.bench.manifest import write_manifest
from vitmem.bench.plan import make_plan
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.rows import read_rows, write_rows

SUITE: dict[str, Any] = {
    "name": "pages",
    "seeds": [0],
    "data": {"name": "digits", "train": 100, "validation": 50},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 1, "curve_every": 1},
    "edits": [{"method": "none"}, {"method": "svd", "blocks": "all", "rank_fraction": [0.5, 0.9]}],
}
# A command in a process of its own, then its processor time and the most memory that it had (VmHWM begins anew there,
# where what the kernel tells of children counts the process that they came from).
MEASURED = """
import re, resource
from vitmem.cli.main import app
app(standalone_mode=False)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_a_run_has_a_page_with_its_curves_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("configs/suites").mkdir(parents=True)
    file = Path("configs/suites/pages.yaml")
    file.write_text(yaml.safe_dump(SUITE))
    cells = make_plan(load_suite(file), file).cells
    run = ("run", str(file), "--cache-dir", "cache", "--device", "cpu")
    assert "pages: 1 cell, 0 have a row" in call(*run, "--only", cells[0].id[:6]).output
    assert [row["id"] for row in read_rows(Path("results/pages/rows.jsonl"))] == [cells[0].id]
    assert call(*run).exit_code == 0
    out = call("report", "pages", "--cache-dir", "cache")
    assert out.exit_code == 0 and "left out" not in out.output, out.output
    assert Path("report/pages/training-vit-shares.svg").is_file()
    text = Path("report/pages.html").read_text()
    assert text.count("<img ") >= 10  # half of the 20 wrong labels report
    assert "name: pages" in text and f"vitmem run {file} --only {cells[1].id}" in text
    # the predictions of other labels are not shown beside these images
    kept = Path("store/evaluation") / cells[0].id / "predictions.safetensors"
    arrays = load_file(kept)
    save_file({**arrays, "given": arrays["given"][::-1].copy()}, kept)
    out = call("report", "--cache-dir", "cache")
    assert out.exit_code == 0 and out.output.count("cannot be read") == 1, out.output
    assert f"Images: left out, {kept.parent}: predictions.safetensors has another content" in out.output
    write_manifest(kept.parent, {})
    out = call("report", "--cache-dir", "cache")
    assert "Images: left out, the images of digits are not those that store has predictions of." in out.output
    (curves,) = Path("store/training").glob("*/curves.csv")
    curves.write_text(curves.read_text().replace(".", ","))
    out = call("report", "--cache-dir", "cache")
    assert f"Training curves: left out, {curves.parent}: curves.csv has " in out.output
    out = call("report", "pages", "--store", "nowhere", "--cache-dir", "cache")
    assert "Training curves: left out, there is no store at nowhere (--store)." in out.output
    assert "Images: left out, there is no store at nowhere (--store)." in Path("report/pages.html").read_text()
    assert not Path("nowhere").exists()


def test_what_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("pages.yaml")
    file.write_text(yaml.safe_dump(SUITE))
    Path("results").mkdir()
    cases = {
        ("report", "pages"): "results: no suite has rows here",
        ("report", "--results", "other"): "--results: no such folder: other",
        ("report", "--data-dir", "other"): "--data-dir: no such folder: other",
        ("run", "pages.yaml", "--only", "zz"): "--only: suite 'pages' has no cell 'zz'",
        ("run", "pages.yaml", "--only", "a", "--prune"): "leave out --only",
    }
    for arguments, text in cases.items():
        error = call(*arguments).exception
        assert isinstance(error, InputError) and text in str(error), arguments


def synthetic(file: Path, results: Path, store: Path) -> int:
    """Write rows, curves and predictions of every cell of a suite as if it had been run; return their number."""
    plan, rng = make_plan(load_suite(file), file), np.random.default_rng(0)
    first = plan.cells[0].training
    images = {n: noisy_images(first.data, first.noise, n, None, results) for n in plan.suite.seeds}
    rows = []
    for cell in plan.cells:
        config = cell.config
        noisy = images[config["seed"]]
        edited = config["edit"]["method"] != "none"
        names = (
            "memorized",
            "recovered",
            "other",
            "clean_train",
            "validation",
            "reference_memorized",
            "reference_recovered",
        )
        half = {name: float(rng.uniform(0.3, 0.9)) for name in names}
        layers = {f"blocks.{n}.mlp.fc{m}": {"relative_change": float(rng.uniform())} for n in range(6) for m in (1, 2)}
        totals = {"kept_pairs": 5, "total_pairs": 10, "relative_change": float(rng.uniform()), "layers": layers}
        rows.append({
            "schema": 1, "id": cell.id, "suite": "pages", "status": "ok", "config": config,
            "ids": {"training": cell.training.id}, "metrics": half, "selection": half, "noise": {"realised": 0.2},
            "counts": {"train": 1000, "noisy": 200, "noisy_report": 100}, "edit": totals if edited else {"layers": {}},
            "costs": {"training_seconds": 100.0, "edit_seconds": 1.0, "evaluate_seconds": 1.0},
            "environment": {"device": "cpu", "python": "3.12.1", "torch": "2.9.0", "vitmem": "0.1.0"},
        })  # fmt: skip
        folder = store / "evaluation" / cell.id
        folder.mkdir(parents=True, exist_ok=True)
        logits = rng.normal(size=(1000, 10)).astype(np.float16)
        labels = {"given": noisy.given.numpy(), "true": noisy.true.numpy(), "index": noisy.data.train.index.numpy()}
        save_file({**labels, "logits": logits}, folder / "predictions.safetensors")
        write_manifest(folder, {})
        curves = store / "training" / cell.training.id / "curves.csv"
        curves.parent.mkdir(parents=True, exist_ok=True)
        curves.write_text("epoch,train_loss,memorized\n" + "".join(f"{n},{1 / n},{n / 50}\n" for n in range(1, 51)))
        write_manifest(curves.parent, {})
    write_rows(results / "pages" / "rows.jsonl", rows)
    return len(rows)


@pytest.mark.slow
def test_five_hundred_cells_within_the_budget(tmp_path: Path) -> None:
    """Under 60 s of processor time, 1 GB of memory and 15 MB."""
    models = [{"name": "vit", "patch_size": 4, "width": 16, "depth": depth, "heads": 1} for depth in (6, 7)]
    blocks = ["last", "last_two", "last_half", "all_but_first", "all", "first_and_last"]
    shares = [0.01, 0.02, 0.05, 0.1, 0.2]
    edits = [
        {"method": "none"},
        {"method": "svd", "blocks": blocks, "rank_fraction": shares},
        *({"method": name, "blocks": blocks, "fraction": shares} for name in ("kfac", "random_basis")),
    ]
    data = {"name": "digits", "train": 1000, "validation": 50}
    file = tmp_path / "pages.yaml"
    file.write_text(yaml.safe_dump({**SUITE, "data": data, "seeds": [0, 1, 2], "model": models, "edits": edits}))
    assert synthetic(file, tmp_path / "results", tmp_path / "store") >= 500
    options = ("report", "--results", "results", "--store", "store", "--cache-dir", "cache", "--out", "out")
    command = [sys.executable, "-c", MEASURED, *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "left out" not in done.stdout, done.stdout + done.stderr
    seconds, kib = map(float, done.stdout.split("\n")[-2].split())
    size = (tmp_path / "out" / "pages.html").stat().st_size
    print(f"{seconds:.1f} s, {kib / 1e6:.2f} GB, {size / 1e6:.1f} MB")
    assert seconds < 60 and kib * 1024 < 1e9 and size < 15e6

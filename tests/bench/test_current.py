"""A row is current when all that made it is; a cell that fails says why and where; nothing is read twice."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import vitmem.bench.evaluation as evaluation
from vitmem.bench.current import RowIds, finished_ids, outdated_ids
from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError, VitmemError
from vitmem.metrics.versions import metric_versions
from vitmem.registry import EDITS, METRICS, edit_of
from vitmem.rows import read_rows
from vitmem.training import fit

RESULTS = Path(__file__).parents[2] / "results"
SUITE: dict[str, Any] = {
    "name": "current",
    "seeds": [0],
    "data": {"name": "digits", "train": 120, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 1, "batch_size": 60, "warmup_epochs": 0, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "svd", "blocks": "last", "rank_fraction": [0.2, 0.4, 0.6]}],
}

MINE = "@METRICS.register('mine')\ndef mine(predictions, base):\n"


def planned(folder: Path, **changes: Any) -> tuple[Path, Plan]:
    file = folder / "current.yaml"
    file.write_text(yaml.safe_dump({**SUITE, **changes}))
    return file, make_plan(load_suite(file), file)


def run(folder: Path, **changes: Any) -> Outcome:
    _, plan = planned(folder, **changes)
    places = Places(Store(folder / "store"), None, folder / "cache", "cpu")
    return run_suite(plan, places, folder / "results")


def rows(folder: Path) -> list[dict[str, Any]]:
    return read_rows(rows_path(folder / "results", "current"))


def plan_says(folder: Path) -> str:
    """Return what ``vitmem plan`` says of finished cells."""
    places = ["--results", str(folder / "results"), "--store", str(folder / "store")]
    out = CliRunner().invoke(app, ["plan", str(folder / "current.yaml"), *places], catch_exceptions=False).output
    return str(out.splitlines()[0].rpartition("; ")[2])


def size(predictions: Any, base: Any) -> dict[str, float]:
    """Return how many images there are, and one."""
    return {"images_seen": float(len(predictions.given)), "one": 1.0}


@pytest.fixture
def plugin() -> Iterator[None]:
    METRICS.register("size", version=1)(size)
    yield
    METRICS.discard("size")


def test_predictions_are_read_once_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = evaluation.load_file
    monkeypatch.setattr(evaluation, "load_file", lambda path: read.append(path.parent.name) or real(path))
    assert run(tmp_path) == Outcome(cells=4, found=0, made=4, failed=0)
    assert len(set(read)) == len(read)
    # what is left are the predictions without the matrices that are edited, of each set of them
    edited = {json.dumps(edit.get("blocks")) for row in rows(tmp_path) if "blocks" in (edit := row["config"]["edit"])}
    assert set(read) > {row["id"] for row in rows(tmp_path)} and len(read) == len(rows(tmp_path)) + len(edited)


class TestMetrics:
    """Rows whose metrics are no longer those of now are measured again, from what is stored."""

    def test_a_metric_of_a_plug_in_comes_changes_and_goes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(tmp_path)
        before = rows(tmp_path)
        assert all(row["metric_versions"]["labels"] == "1" for row in before)
        monkeypatch.setattr(fit.Trainer, "fit", None)  # nothing is trained from here on
        for version in (1, 2):
            METRICS.register("size", version=version)(size)
            try:
                assert run(tmp_path) == Outcome(cells=4, found=0, made=4, failed=0)
                assert run(tmp_path).made == 0
            finally:
                METRICS.discard("size")
            found = rows(tmp_path)
            assert all(row["metrics"]["images_seen"] == 120 for row in found)
            assert {row["metric_versions"]["size"].split("-")[0] for row in found} == {str(version)}
        assert run(tmp_path).found == 4  # the store has their rows by these metrics
        assert rows(tmp_path) == before

    def test_a_changed_file_of_a_plug_in_counts_without_a_new_version(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, _ = planned(tmp_path)
        monkeypatch.chdir(tmp_path)
        values = []
        for number, value in enumerate((0.25, 0.75)):
            mine = tmp_path / f"plugin{number}.py"
            mine.write_text(f"from vitmem.registry import METRICS\n{MINE}    return {{'mine': {value}}}\n")
            options = ["--store", "store", "--cache-dir", "cache", "--device", "cpu", "--plugin", str(mine)]
            try:
                out = CliRunner().invoke(app, ["run", str(file), *options])
            finally:
                METRICS.discard("mine")
            assert out.exit_code == 0, out.output
            assert out.output.count("4 of them only to re-measure with the current metrics") == number
            values.append({row["metrics"]["mine"] for row in rows(tmp_path)})
            monkeypatch.setattr(fit.Trainer, "fit", None)  # nothing is trained from here on
        assert values == [{0.25}, {0.75}]

    @pytest.mark.parametrize(
        ("how", "name"),
        [
            ("import helper", "helper.value"),
            ("from helper import value", "value"),
            ("from other import value", "value"),
        ],
    )
    def test_what_a_plug_in_imports_from_its_folder_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, name: str
    ) -> None:
        for file, text in (("other", "from helper import value\n"), ("helper", "value = 0.25\n")):
            (tmp_path / f"{file}.py").write_text(text)
        mine = tmp_path / "plugin.py"
        mine.write_text(f"{how}\n{MINE}    return {{'mine': {name}}}\n")
        namespace: dict[str, Any] = {"METRICS": METRICS, "__name__": "plugin"}
        monkeypatch.syspath_prepend(str(tmp_path))
        try:
            exec(compile(mine.read_text(), str(mine), "exec"), namespace)
            before = metric_versions("image")["mine"]
            (tmp_path / "helper.py").write_text("value = 0.75\n")
            assert metric_versions("image")["mine"] != before
            (tmp_path / "helper.py").write_text("value = 0.25\n")
            (tmp_path / "unrelated.py").write_text("value = 1\n")
            assert metric_versions("image")["mine"] == before
        finally:
            METRICS.discard("mine")
            for module in ("helper", "other"):
                sys.modules.pop(module, None)

    def test_a_bumped_version_of_a_built_in_metric(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run(tmp_path)
        entry = METRICS.get("labels")
        monkeypatch.setattr(entry, "version", 2)
        assert finished_ids(rows(tmp_path)) == set() and len(outdated_ids(rows(tmp_path))) == 4
        assert plan_says(tmp_path).startswith("0 done, 4 of the others only to re-measure with the current metrics")
        assert run(tmp_path).made == 4
        assert plan_says(tmp_path) == "4 done"
        assert {row["metric_versions"]["labels"] for row in rows(tmp_path)} == {"2"}

    def test_committed_rows_name_no_metrics_and_are_current(self, plugin: None) -> None:
        for name in ("demo", "gemma_recitation", "smollm2_planted", "language_spectrum_small"):
            found = read_rows(RESULTS / name / "rows.jsonl")
            images = name == "demo"
            assert len(finished_ids(found)) == (0 if images else len(found)), name  # the plug-in measures images
        METRICS.discard("size")
        found = read_rows(RESULTS / "demo" / "rows.jsonl")
        assert len(finished_ids(found)) == len(found) and not outdated_ids(found)


class TestRowIds:
    """Whether the config of a row belongs to its id."""

    def test_that_of_every_committed_row_does(self) -> None:
        for path in sorted(RESULTS.glob("*/rows.jsonl")):
            read_rows(path, RowIds().belongs)

    @pytest.mark.parametrize(
        "place",
        [("seed",), ("edit", "fraction"), ("recipe", "lr"), ("noise", "rate"), ("model", "width"), ("data", "name")],
    )
    def test_that_of_a_row_that_was_changed_does_not(self, tmp_path: Path, place: tuple[str, ...]) -> None:
        found = read_rows(RESULTS / "demo" / "rows.jsonl")
        bad = copy.deepcopy(next(row for row in found if "fraction" in row["config"]["edit"]))
        *outer, key = place
        part = bad["config"]
        for name in outer:
            part = part[name]
        part[key] = "digits" if key == "name" else part[key] * 2 + 1
        path = tmp_path / "rows.jsonl"
        path.write_text(json.dumps(bad, sort_keys=True) + "\n")
        with pytest.raises(InputError, match=f"rows.jsonl:1: the config of this row is not that of its id {bad['id']}"):
            read_rows(path, RowIds().belongs)

    @pytest.mark.parametrize("verb", ["plan", "status"])
    def test_no_verb_counts_a_row_that_was_changed(self, tmp_path: Path, verb: str) -> None:
        row = read_rows(RESULTS / "demo" / "rows.jsonl")[0]
        row["config"]["seed"] += 1
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "rows.jsonl").write_text(json.dumps(row, sort_keys=True) + "\n")
        out = CliRunner().invoke(app, [verb, "demo", "--results", str(tmp_path)])
        assert isinstance(out.exception, InputError) and "is not that of its id" in str(out.exception)

    def test_of_an_earlier_version_of_an_entry_it_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = read_rows(RESULTS / "demo" / "rows.jsonl")
        for name in ("none", "kfac", "svd"):
            entry = EDITS.get(name)
            monkeypatch.setattr(entry, "version", 3)
        assert all(RowIds().belongs(row) for row in found)
        found[0]["config"]["seed"] += 1
        assert not RowIds().belongs(found[0])


def test_committed_rows_tell_the_information_that_their_method_declares() -> None:
    """It is not in ids, so a declaration that was mended would leave old rows wrong in silence."""
    told: dict[str, set[str]] = {}
    for path in sorted(RESULTS.glob("*/rows.jsonl")):
        for row in read_rows(path):
            edit = row["config"]["edit"]
            if row["status"] == "ok" and (information := row["edit"].get("information")) is not None:
                method = {k: v for k, v in edit.items() if k not in ("blocks", "layers")}
                told.setdefault(json.dumps(method, sort_keys=True), set()).add(information)
    assert len(told) > 300
    for method, found in told.items():
        declared = edit_of(json.loads(method)).information
        # with given labels as targets of the statistics
        assert found <= {declared, "noisy labels"} if declared == "unlabelled" else found == {declared}, (method, found)


class TestFailures:
    """A cell that fails keeps its traceback; a run that fails leaves no results that are none."""

    @pytest.fixture
    def failing(self) -> Iterator[None]:
        @EDITS.register("failing", version=1, uses="data-free")
        def failing(context: Any) -> Any:
            raise VitmemError("blocks.0: too bad")

        yield
        EDITS.discard("failing")

    def test_a_traceback_lies_where_the_row_says(
        self, tmp_path: Path, failing: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        file, _ = planned(tmp_path, edits=[{"method": "none"}, {"method": "failing", "blocks": "last"}])
        options = ["run", str(file), "--cache-dir", "cache", "--device", "cpu"]
        out = CliRunner().invoke(app, options)
        assert "Traceback" not in out.output and isinstance(out.exception, VitmemError)
        assert "1 of 2 cells failed" in str(out.exception) and "--debug" in str(out.exception)
        (failed,) = (row for row in rows(tmp_path) if row["status"] == "failed")
        text = (tmp_path / "store" / failed["traceback"]).read_text()
        assert text.startswith("Traceback") and text.endswith("VitmemError: blocks.0: too bad\n")
        assert failed["reason"] == "blocks.0: too bad"
        out = CliRunner().invoke(app, [*options, "--debug"])
        assert "Traceback" in out.output and "in failing" in out.output
        command = [sys.executable, "-m", "vitmem.cli.main", "--debug", "plan", "nowhere.yaml"]
        told = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
        assert told.returncode == 2 and told.stderr.startswith("Traceback") and "nowhere.yaml" in told.stderr
        command.remove("--debug")
        told = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
        assert told.returncode == 2 and told.stderr.count("\n") == 1

    def test_a_failure_that_is_mended_leaves_no_traceback(self, tmp_path: Path, failing: None) -> None:
        edits = [{"method": "none"}, {"method": "failing", "blocks": "last"}]
        assert run(tmp_path, edits=edits).failed == 1
        (failed,) = (row for row in rows(tmp_path) if row["status"] == "failed")
        EDITS.discard("failing")

        @EDITS.register("failing", version=1, uses="data-free")
        def works(context: Any) -> Any:
            return evaluation.EditResult({}, {})

        assert run(tmp_path, edits=edits).failed == 0
        assert not (tmp_path / "store" / failed["traceback"]).exists()

    def test_a_training_that_fails_keeps_one_too(self, tmp_path: Path) -> None:
        assert run(tmp_path, recipe={**SUITE["recipe"], "lr": 1e30}).failed == 4
        (place,) = {row["traceback"] for row in rows(tmp_path)}
        assert "epoch_loss" in (tmp_path / "store" / place).read_text()

    @pytest.mark.parametrize("deep", ["results", "a/b/results"])
    def test_a_run_that_fails_leaves_no_folder_of_results(self, tmp_path: Path, deep: str) -> None:
        edits = [{"method": "svd", "blocks": [7], "rank_fraction": 0.2}]
        _, plan = planned(tmp_path, edits=edits)
        places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
        with pytest.raises(InputError):
            run_suite(plan, places, tmp_path / deep)
        assert not (tmp_path / deep.split("/")[0]).exists()

    def test_a_folder_that_has_something_stays(self, tmp_path: Path) -> None:
        kept = tmp_path / "results" / "current" / "notes.md"
        kept.parent.mkdir(parents=True)
        kept.write_text("mine")
        with pytest.raises(InputError):
            run(tmp_path, edits=[{"method": "svd", "blocks": [7], "rank_fraction": 0.2}])
        assert kept.read_text() == "mine"

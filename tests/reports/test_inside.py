"""Tables and figures of analyses, from files that can be computed by hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vitmem.reports.studies.inside.figures import FIRST, Bands, spectra
from vitmem.reports.studies.inside.tables import BANDS

from vitmem.errors import InputError
from vitmem.reports.analyses import read_analyses
from vitmem.reports.drawing import write_figures
from vitmem.reports.files import render_tables
from vitmem.reports.page.material import Material
from vitmem.reports.page.sections import figures as figures_section
from vitmem.reports.report import Report
from vitmem.rows import write_rows

Row = dict[str, Any]
Lines = list[dict[str, str]]


@pytest.fixture
def analysed(toy: list[Row]) -> tuple[list[Row], Mapping[str, Lines]]:
    """The toy rows with ids of their trainings, and analyses of one layer in two seeds, and of a third nobody has."""
    rows = [{**row, "ids": {"training": f"t{row['config']['seed']}"}} for row in toy]
    bands, spectrum, fisher, stability = [], [], [], []
    for seed in (0, 1, 2):
        head = {"training": f"t{seed}", "model": "vit", "seed": str(seed), "layer": "blocks.0.fc1"}
        for n, (low, _) in enumerate(BANDS):
            for basis, step in (("kfac", 0.1), ("svd", 0.0)):
                value = str(1 + step * n + 0.02 * seed)
                bands.append({**head, "basis": basis, "from": low, "ratio": value, "share_ratio": value})
        ranks = {f"effective_rank_{side}": "0.25" for side in ("a", "g", "weight")}
        held = {f"{side}_{first}": str(first / 50) for side in ("a", "g", "weight") for first in FIRST}
        spectrum.append({**head, **ranks, **held})
        owns = {"own_memorized": "4", "own_other": "2", "own_memorized_given": "1", "own_other_given": "1"}
        along = {f"along_{name}{given}": "3" for name in ("memorized", "other") for given in ("", "_given")}
        shares = {"noisy_share": str(0.2 + 0.1 * seed), "noisy_share_given": ""}
        fisher.append({**head, **owns, **along, **shares})
        others = ["half", "initial", *(f"seed {s}" for s in range(seed))]
        stability += [{**head, "side": "a", "with": x, "overlap": str(0.5), "chance": "0.1"} for x in others]
    detection = [
        {"training": f"t{seed}", "score": "loss", "auroc": str(0.7 + 0.1 * seed), "ap": "0.2", "flagged": ""}
        for seed in (0, 1)
    ]
    learned = [
        {"training": f"t{row['config']['seed']}", "cell": row["id"], "epoch": epoch, "images": images, "memorized": m,
         "recovered": r, "loss_rise": "1", "of": "60"}
        for row in rows if row["config"]["edit"]["method"] == "kfac"
        for epoch, images, m, r in (("10", "1", "0", "1"), ("30", "3", "1", "0"), ("40", "2", "0.5", "0.5"))
    ]  # fmt: skip
    return rows, {
        "learned": learned,
        "bands": bands, "spectrum": spectrum, "fisher": fisher, "stability": stability, "detection": detection
    }  # fmt: skip


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_means_are_over_the_seeds_that_have_rows(analysed: tuple[list[Row], Mapping[str, Lines]]) -> None:
    rows, lines = analysed
    assert {row["config"]["seed"] for row in rows} == {0, 1}
    tables = render_tables(Report("toy", rows, lines))
    kfac, svd = cells(tables["bands.csv"])
    assert (kfac["basis"], svd["basis"]) == ("K-FAC", "SVD") and kfac["layer"] == "blocks.0.fc1"
    assert float(kfac["share_ratio_0.5"]) == pytest.approx(1.31) and float(svd["ratio_0.25"]) == pytest.approx(1.01)
    (spectrum,) = cells(tables["spectrum.csv"])
    assert float(spectrum["effective_rank_g"]) == 0.25 and float(spectrum["a_10"]) == pytest.approx(0.2)
    (fisher,) = cells(tables["curvature.csv"])
    assert float(fisher["noisy_share"]) == pytest.approx(0.25) and fisher["noisy_share_given"] == ""
    assert (float(fisher["gradient"]), float(fisher["along"])) == (2, 1)
    (stability,) = cells(tables["stability.csv"])
    assert float(stability["half"]) == 0.5 and stability["side"] == "A"
    two = "50.0 (n=2: 50.0, 50.0)"  # one seed has another before it
    assert f"| {two} | {two} | 50.0 | 10.0 (n=2: 10.0, 10.0) |" in tables["stability.md"]
    (learned,) = cells(tables["learned.csv"])
    early = (learned["images_early"], learned["memorized_early"], learned["recovered_early"])
    assert tuple(map(float, early)) == (4, 0.75, 0.25)
    assert (float(learned["images_late"]), float(learned["recovered_late"])) == (2, 0.5)
    (detection,) = cells(tables["detection.csv"])
    assert float(detection["auroc"]) == pytest.approx(0.75) and detection["seeds"] == "2"


def test_loss_rises_stand_beside_the_scores(analysed: tuple[list[Row], Mapping[str, Lines]]) -> None:
    rows, lines = analysed
    rise = {"auroc_loss_rise": 0.9, "ap_loss_rise": 0.6}
    risen = [
        {**r, "metrics": {**r["metrics"], **rise}} if r["config"]["edit"]["method"] == "kfac" and "metrics" in r else r
        for r in rows
    ]
    _, kfac = cells(render_tables(Report("toy", risen, lines))["detection.csv"])
    assert kfac["score"] == "loss rise under K-FAC" and float(kfac["auroc"]) == pytest.approx(0.9)


def test_nothing_analysed_has_no_tables(toy: list[Row]) -> None:
    report = Report("toy", toy)
    assert Bands().draw(report) is None and spectra(report) is None
    assert "bands.md" not in render_tables(Report("toy", toy))
    assert figures_section(Material("toy", toy, "toy.yaml")) is None


def test_figures_and_section(analysed: tuple[list[Row], Mapping[str, Lines]], tmp_path: Path) -> None:
    rows, lines = analysed
    write_rows(tmp_path / "toy" / "rows.jsonl", rows)
    (tmp_path / "toy" / "analyses").mkdir()
    for name, some in lines.items():
        with (tmp_path / "toy" / "analyses" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(some[0]))
            writer.writeheader()
            writer.writerows(some)
    assert read_analyses(tmp_path / "toy") == lines
    assert [p.name for p in write_figures(tmp_path) if p.suffix == ".svg"] == [
        "bands.svg", "spectra.svg", "tradeoff.svg"
    ]  # fmt: skip
    report = Report("toy", rows, lines)
    figure = Bands().draw(report)
    assert figure is not None
    kfac, svd = figure.axes
    assert kfac.containers[0].lines[0].get_ydata().tolist() == pytest.approx([1.01, 1.11, 1.21, 1.31])  # type: ignore[attr-defined]
    assert svd.containers[0].lines[0].get_ydata().tolist() == pytest.approx([1.01] * 4)  # type: ignore[attr-defined]
    assert Bands().in_words(report) == (
        "vit: memorized over other inputs from 1.01 in the top 10 % of blocks.0.fc1 to 1.31 in the bottom 50 % of "
        "blocks.0.fc1."
    )
    made = Material("toy", rows, "toy.yaml", analyses=lines)
    section = figures_section(made)
    assert section is not None and [part.kind for part in section.parts] == ["figures", "table", "figures"]
    assert {"bands", "spectrum", "curvature", "stability", "detection", "learned"} <= made.tables.keys()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"layer,ratio\nfc1,1\n", "expected a column 'training', got layer, ratio"),
        (b"training,layer,basis\nt0,l,b\n", "expected a column 'from'"),
        (b"", "expected a column 'training', got none"),
        (b"training,layer,basis,from\nt0\n", "bands.csv:2: expected 4 columns"),
        (b"training,layer,basis,from\nt0,a,b,0,9\n", "bands.csv:2: expected 4 columns"),
        (b'training,layer,basis,from\nt0,"a,b,0\n', "not a complete CSV"),
        (b"training,layer,basis,from\nt0,\xff\x00,b,0\n", "in UTF-8, got other bytes"),
        (b"training,layer,basis,from\nt0," + b"x" * 200_000 + b",b,0\n", "not a complete CSV"),
    ],
)
def test_a_file_of_something_else(text: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "analyses").mkdir()
    (tmp_path / "analyses" / "bands.csv").write_bytes(text)
    with pytest.raises(InputError) as caught:
        read_analyses(tmp_path)
    assert says in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_every_damage_of_an_analysis_is_a_table_or_one_sentence(
    analysed: tuple[list[Row], Mapping[str, Lines]], tmp_path: Path
) -> None:
    rows, lines = analysed
    random, folder, told = np.random.default_rng(0), tmp_path / "analyses", 0
    folder.mkdir()
    for name in ("bands", "fisher", "learned", "detection", "stability"):
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, list(lines[name][0]))
        writer.writeheader()
        writer.writerows(lines[name])
        whole = out.getvalue().encode()
        for _ in range(20):
            damaged = bytearray(whole)
            damaged[random.integers(len(damaged))] = random.integers(256)
            (folder / f"{name}.csv").write_bytes(damaged[: random.integers(len(damaged) + 1)])
            try:
                render_tables(Report("toy", rows, read_analyses(tmp_path)))
            except InputError as error:
                assert "\n" not in str(error)
                told += 1
        (folder / f"{name}.csv").unlink()
    assert told > 10


def test_hidden_files_are_no_analyses(tmp_path: Path) -> None:
    (tmp_path / "analyses").mkdir()
    (tmp_path / "analyses" / "._bands.csv").write_bytes(b"\x00\x05\x16\x07")
    assert read_analyses(tmp_path) == {}


def test_a_word_where_a_number_stands(analysed: tuple[list[Row], Mapping[str, Lines]]) -> None:
    rows, lines = analysed
    broken = {"spectrum": [{**lines["spectrum"][0], "a_10": "much"}]}
    with pytest.raises(InputError, match=r"column 'a_10': expected a number, got 'much'; delete the file and"):
        render_tables(Report("toy", rows, broken))

"""The lead over shrinkage by tokens, on rows whose choices and differences are known."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from vitmem.reports.studies.tokens.figures import headroom
from vitmem.reports.studies.tokens.figures import images as images_figure
from vitmem.reports.studies.tokens.figures import tokens as tokens_figure
from vitmem.reports.studies.tokens.leads import dots
from vitmem.reports.studies.tokens.tables import has_sizes, places

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import by_training, group_rows
from vitmem.reports.drawing import write_figures
from vitmem.reports.files import render_tables
from vitmem.reports.lead import sites
from vitmem.reports.page.material import Material
from vitmem.reports.page.sections import figures as figures_section
from vitmem.reports.report import Report
from vitmem.rows import write_rows

Row = dict[str, Any]
Halves = tuple[tuple[float, float], tuple[float, float]]
KFAC = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last"}
RANDOM = {"method": "random_basis", "importance": "kfac", "side": "both", "blocks": "last"}
# memorized by seed on the report half of what is chosen at one token
BASE, SCALED, INPUT = (0.9, 0.8, 0.85), (0.5, 0.4, 0.6), (0.1, 0.2, 0.1)


def edits(seed: int, tokens: int) -> list[tuple[dict[str, Any], Halves]]:
    """(edit, ((memorized, validation) of the report half, of the selection half)); the base's validation is .5."""
    one = tokens == 1
    base = BASE[seed] if one else 0.3
    return [
        ({"method": "none"}, ((base, 0.5), (0.9, 0.5))),
        # scaling by .5 is the best of all that shrinks at no loss; .2 and SVD take more out on the report half only
        ({"method": "uniform_scaling", "blocks": "last", "factor": 0.5}, ((SCALED[seed], 0.5), (0.4, 0.5))),
        ({"method": "uniform_scaling", "blocks": "last", "factor": 0.2}, ((0.0, 0.5), (0.0, 0.4))),
        ({"method": "svd", "blocks": "last", "rank_fraction": 0.1}, ((0.0, 0.5), (0.6, 0.5))),
        # half-random bases read one side of the data: they do not shrink blindly
        ({**RANDOM, "fraction": 0.5, "random": "input"}, ((0.2, 0.5), (0.1, 0.5))),
        # plain K-FAC always loses: it counts as the base
        ({**KFAC, "fraction": 0.1}, ((0.0, 0.4), (0.0, 0.4))),
        ({"method": "kfac_input", "blocks": "last", "fraction": 0.1}, ((INPUT[seed], 0.5), (0.2, 0.5 if one else 0.4))),
        # other layers: nothing is compared across
        ({"method": "uniform_scaling", "blocks": "last", "layers": ["fc2"], "factor": 0.5}, ((0.7, 0.5), (0.7, 0.5))),
        ({"method": "kfac_input", "blocks": "last", "layers": ["fc2"], "fraction": 0.1}, ((0.4, 0.5), (0.4, 0.5))),
    ]


@pytest.fixture
def rows(make_row: Callable[..., Row]) -> list[Row]:
    found = []
    for tokens, patch in ((1, None), (4, 14)):
        model = {"name": "residual_mlp", "pool": 1, **({} if patch is None else {"patch_size": patch})}
        for seed in range(3):
            for edit, (report, selection) in edits(seed, tokens):
                row = make_row(seed, edit, report=report, selection=selection, model=model)
                row["counts"] = {"train": 4000, "tokens": tokens}
                if edit["method"] != "none":
                    row["edit"]["layers"] = {"fc2": {}} if "layers" in edit else {"fc1": {}, "fc2": {}}
                    left = 0.2 if "layers" in edit else 0.1 * tokens
                    row["metrics"] |= {"ablated_memorized": left, "ablated_recovered": 0.0, "ablated_validation": 0.4}
                found.append(row)
    return found


def table(rows: list[Row]) -> dict[tuple[str, str, str], dict[str, str]]:
    lines = csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["tokens.csv"]))
    return {(line["tokens"], line["layers"], line["method"]): line for line in lines}


def test_leads_by_hand(rows: list[Row]) -> None:
    found = table(rows)
    own = "the model's own"
    assert found["1", own, "best shrinkage"]["setting"] == "uniform scaling, last, factor 0.5"
    assert float(found["1", own, "best shrinkage"]["memorized"]) == pytest.approx(0.5)
    side = found["1", own, "K-FAC, input side"]
    expected = np.array(SCALED) - INPUT
    assert float(side["lead"]) == pytest.approx(expected.mean())
    low, high = ttest_1samp(expected, 0).confidence_interval()
    assert float(side["lead_interval"]) == pytest.approx((high - low) / 2, rel=1e-4)
    plain = found["1", own, "K-FAC"]
    assert plain["setting"] == "no setting loses nothing"
    assert float(plain["memorized"]) == pytest.approx(np.mean(BASE))
    assert float(plain["lead"]) == pytest.approx(np.mean(np.array(SCALED) - BASE))
    assert float(found["1", own, "random basis random=input"]["lead"]) == pytest.approx(0.3)
    # at four tokens the input side has no setting that loses nothing either
    assert float(found["4", own, "K-FAC, input side"]["lead"]) == pytest.approx(0.5 - 0.3)
    assert float(found["1", "fc2", "K-FAC, input side"]["lead"]) == pytest.approx(0.3)
    assert ("1", "fc2", "K-FAC") not in found
    ablated = [found[t, layers, "ablation"]["memorized"] for t, layers in (("1", own), ("4", own), ("1", "fc2"))]
    assert ablated == ["0.1", "0.4", "0.2"]
    assert {line["family"] for line in found.values()} == {"residual MLPs"}


def test_leads_are_counted_by_what_may_be_lost(rows: list[Row]) -> None:
    for row in rows:
        edit = row["config"]["edit"]
        if edit["method"] == "kfac":  # loses a point and a half and takes everything out
            row["selection"]["validation"] = 0.485
        if edit.get("layers") and edit["method"] == "uniform_scaling":  # loses one and a half too
            row["selection"]["validation"] = 0.485
    lines = csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["leads.csv"]))
    found = {
        (x["allowed_drop"], x["method"]): (x["sites"], x["ahead"], x["behind"]) for x in lines if x["tokens"] == "1"
    }
    # at no loss fc2 is ahead of its base, whose scaling loses; .4, .2 and .5 of the other layers leave 0 inside
    assert found["0", "K-FAC, input side"] == ("2", "1", "0")
    assert found["0", "K-FAC"] == found["1", "K-FAC"] == ("1", "0", "1")
    assert found["2", "K-FAC"] == ("1", "1", "0")
    assert {drop for drop, _ in found} == {"0", "1", "2"}


def test_bases_that_memorize_little_are_not_counted(rows: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["leads.csv"])))
    assert {line["tokens"] for line in lines} == {"1"}  # of four tokens the base memorizes .3


def more_images(rows: list[Row]) -> list[Row]:
    """The trainings of one token, again with 16,000 images."""
    found = [row for row in rows if row["counts"]["tokens"] == 1]
    for row in list(found):
        config = {**row["config"], "data": {**row["config"]["data"], "train": 16000}}
        found.append({**row, "id": row["id"] + "more", "config": config, "counts": {"train": 16000, "tokens": 1}})
    return found


def test_by_training_images(rows: list[Row]) -> None:
    report = Report("toy", more_images(rows))
    lines = list(csv.DictReader(io.StringIO(render_tables(report)["tokens.csv"])))
    leads = {
        x["images"]: float(x["lead"]) for x in lines if x["method"] == "K-FAC, input side" and x["layers"] != "fc2"
    }
    assert leads == pytest.approx(dict.fromkeys(["4000", "16000"], np.mean(np.array(SCALED) - INPUT)))
    assert tokens_figure(report) is None
    figure = images_figure(report)
    assert figure is not None and images_figure(Report("toy", rows)) is None
    assert [axes.get_ylabel() for axes in figure.axes] == ["residual MLPs", "residual MLPs\nfc2"]
    assert [axes.get_title() for axes in figure.axes] == ["1 token", ""]
    assert figure.axes[-1].get_xlabel() == "training images"
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["4,000", "16,000"]
    places_of_dots = {
        round(float(x)) for line in figure.axes[0].lines for x in line.get_xdata() if line.get_marker() == "o"
    }
    assert places_of_dots == {12, 14}  # octaves


def test_one_number_of_tokens_has_no_table(rows: list[Row]) -> None:
    one = [row for row in rows if row["counts"]["tokens"] == 1]
    assert has_sizes(Report("toy", rows)) and not has_sizes(Report("toy", one))
    assert "tokens.csv" not in render_tables(Report("toy", one))
    for row in rows:
        if row["counts"]["tokens"] == 4:  # another data set is no other size
            row["config"]["data"] = {"name": "digits"}
    assert not has_sizes(Report("toy", rows))
    for row in rows:
        del row["counts"]["tokens"]
    assert not has_sizes(Report("toy", rows))


def test_settings_are_of_one_kind_by_the_plainest_statistics(rows: list[Row]) -> None:
    exact = {**rows[5], "id": "exact"}
    exact["config"] = {**exact["config"], "statistics": {"labels": "exact", "label_samples": 1}}
    (training,) = by_training(group_rows([*(r for r in rows if r["counts"]["tokens"] == 1), exact]))
    own, named = sites(training)
    (group,) = own.settings("kfac")
    assert group.config["statistics"]["labels"] == "sampled"
    assert own.settings("random_basis") == [] and len(own.settings("random_basis", random="input")) == 1
    assert named.layers == ("fc2",) and named.settings("kfac") == []
    assert sites(by_training(group_rows(r for r in rows if r["config"]["edit"]["method"] != "none"))[0]) == []


def test_the_figures(rows: list[Row]) -> None:
    report = Report("toy", rows)
    figure = tokens_figure(report)
    assert [axes.get_ylabel() for axes in figure.axes] == ["residual MLPs", "residual MLPs\nfc2"]
    assert figure.axes[0].get_title() == "4,000 images"
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["1", "4"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "K-FAC", "K-FAC, input side", "random basis random=input", "base memorizes\nless than 60 %"
    ]  # fmt: skip
    assert len(dots(report)) == 2 * (3 + 1)
    figure = headroom(report)
    x = sorted(float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o")
    assert x == pytest.approx([10, 20, 20, 40])


def test_rows_without_the_metric_have_no_headroom(rows: list[Row]) -> None:
    for row in rows:
        row["metrics"] = {k: v for k, v in row["metrics"].items() if not k.startswith("ablated")}
    report = Report("toy", rows)
    assert headroom(report) is None and not any(method == "ablation" for *_, method in table(rows))
    assert all(place.site.ablated is None for place in places(report))


def test_what_else_differs_has_rows_of_its_own(rows: list[Row]) -> None:
    wide = []
    for row in rows:
        model = {**row["config"]["model"], "width": 512}
        wide.append({**row, "id": row["id"] + "wide", "config": {**row["config"], "model": model}})
        row["config"]["model"]["width"] = 256
    figure = tokens_figure(Report("toy", [*rows, *wide]))
    names = sorted(axes.get_ylabel() for axes in figure.axes)
    assert names == sorted(f"residual MLPs\nwidth={w}{layers}" for w in (256, 512) for layers in ("", "\nfc2"))


def test_sizes_of_two_data_sets_are_not_joined_by_a_line(rows: list[Row]) -> None:
    other = []
    for row in rows:
        config = {**row["config"], "data": {"name": "digits"}}
        other.append({**row, "id": row["id"] + "digits", "config": config, "counts": {**row["counts"], "train": 500}})
    figure = tokens_figure(Report("toy", [*rows, *other]))
    assert figure is not None
    labels = {axes.get_ylabel() for axes in figure.axes} - {""}
    assert labels == {
        f"residual MLPs\ndata={name}{layers}" for name in ("mnist5k", "digits") for layers in ("", "\nfc2")
    }


def test_the_section_of_the_page(rows: list[Row]) -> None:
    section = figures_section(Material("toy", rows, "toy.yaml"))
    assert section is not None and [part.kind for part in section.parts] == ["figures", "figures", "table"]
    assert [drawing.name for part in section.parts[:2] for drawing in part.content] == ["headroom", "tokens"]
    one = [row for row in rows if row["counts"]["tokens"] == 1]
    assert figures_section(Material("toy", one, "toy.yaml")) is None


def test_the_figures_are_files(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIGURES.get("tradeoff"), "draw", lambda *_: None)  # it is drawn by tests of its own
    write_rows(tmp_path / "toy" / "rows.jsonl", rows)
    names = [path.name for path in write_figures(tmp_path)]
    assert names[:4] == ["headroom.svg", "headroom.png", "tokens.svg", "tokens.png"]


def test_the_effect_in_one_line_a_network(rows: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows))["effect.csv"])))
    assert [(line["tokens"], line["layers"]) for line in lines] == [
        ("1", "the model's own"),
        ("4", "the model's own"),
        ("1", "fc2"),
        ("4", "fc2"),
    ]
    one, four = lines[:2]
    assert one["base"] == "85.0 / 5.0 / 50.0" and one["shrinkage"] == "50.0 / 40.0 / 50.0"
    assert one["kfac_input"] == "13.3 / 76.7 / 50.0"
    assert one["kfac"] == "no edit" and one["sap"] == ""
    assert float(one["lead"]) == pytest.approx(np.mean(np.array(SCALED) - INPUT))
    assert one["ablated"] == "10.0 / 0.0 / 40.0"
    # the only setting of the input side loses accuracy there
    assert four["kfac_input"] == "no edit"

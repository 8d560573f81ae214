"""Where an edit works, by hand on rows of five training settings, and what of the base tells it, against scipy."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import spearmanr, ttest_1samp
from sklearn.metrics import roc_auc_score
from vitmem.reports.studies.regime.figures import regime as regime_figure
from vitmem.reports.studies.regime.outcomes import has_regime, outcomes
from vitmem.reports.studies.regime.ranks import Resamples, from_resamples, rank_correlation, resampled, separation

from vitmem.errors import InputError
from vitmem.registry import FIGURES
from vitmem.reports.analyses import averages, read_analyses
from vitmem.reports.drawing import write_figures
from vitmem.reports.files import check_tables, render_tables, write_tables
from vitmem.reports.page.heat import heat_maps
from vitmem.reports.page.material import Material
from vitmem.reports.page.sections import figures as figures_section
from vitmem.reports.page.sections import heat as heat_section
from vitmem.reports.report import Report
from vitmem.rows import write_rows

Row = dict[str, Any]
KFAC = {"method": "kfac", "importance": "kfac", "side": "both", "blocks": "last"}
# epochs -> memorized before, (memorized, validation) on the report half | on the selection half at fraction .01, .1
SETTINGS: dict[int, tuple[float, list[tuple[float, float]], list[tuple[float, float]]]] = {
    10: (0.5, [(0.1, 0.50), (0.2, 0.5)], [(0.1, 0.50), (0.2, 0.5)]),  # falls by .8, but little was memorized
    20: (0.8, [(0.2, 0.50), (0.3, 0.6)], [(0.2, 0.50), (0.3, 0.6)]),  # .01: falls by .75 at no loss
    30: (0.9, [(0.3, 0.49), (0.8, 0.6)], [(0.3, 0.50), (0.8, 0.5)]),  # .01: by 2/3, but one point is lost in the end
    40: (0.9, [(0.1, 0.60), (0.6, 0.5)], [(0.1, 0.49), (0.6, 0.5)]),  # .01 loses one point: .1, by 1/3
    50: (1.0, [(0.1, 0.60), (0.6, 0.6)], [(0.1, 0.40), (0.6, 0.4)]),  # both lose ten
}


@pytest.fixture
def rows(make_row: Callable[..., Row]) -> list[Row]:
    """Two seeds alike but for the loss of the base, which falls with the epochs; validation of every base is .5."""
    found = []
    for epochs, (before, report, selection) in SETTINGS.items():
        edits = [({"method": "none"}, (before, 0.5), (before, 0.5))]
        edits += [({**KFAC, "fraction": f}, r, s) for f, r, s in zip((0.01, 0.1), report, selection, strict=True)]
        for seed in (0, 1):
            for edit, on_report, on_selection in edits:
                row = make_row(seed, edit, report=on_report, selection=on_selection)
                row["id"] += f"-{epochs}"
                row["config"]["recipe"] = {"epochs": epochs}
                row["ids"] = {"training": f"{epochs}-{seed}"}
                row["selection"]["train_loss"] = 1 / epochs + 0.001 * seed
                for half in ("metrics", "selection"):
                    row[half]["recovered"] = max(row[half]["recovered"], 0.0)
                found.append(row)
    return found


def table(rows: list[Row], name: str, **more: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_tables(Report("toy", rows, **more))[f"{name}.csv"])))


def test_verdicts_by_hand(rows: list[Row]) -> None:
    found = {(r["model"].split("=")[1], r["allowed_drop"]): r for r in table(rows, "regime")}
    assert {e: found[e, "0"]["verdict"] for e in ("10", "20", "30", "40", "50")} == {
        "10": "nothing to remove", "20": "works", "30": "no", "40": "no", "50": "no",
    }  # fmt: skip
    assert {e: found[e, "1"]["verdict"] for e in ("20", "30", "40", "50")} == {
        "20": "works", "30": "works", "40": "works", "50": "no",
    }  # fmt: skip
    works = found["20", "0"]
    assert works["setting"] == "last, fraction 0.01"
    assert (works["memorized_before"], works["memorized"], works["relative_fall"]) == ("0.8", "0.2", "0.75")
    assert found["40", "0"]["setting"] == "last, fraction 0.1" and found["40", "0"]["relative_fall"] == "0.333333"
    assert found["50", "0"]["setting"] == "no setting loses nothing" and found["50", "0"]["relative_fall"] == ""
    text = render_tables(Report("toy", rows))["regime.md"]
    assert "allowed loss 0, settings whose base memorizes at least 60 %: K-FAC works in 1 of 4" in text
    assert "K-FAC works in 3 of 4" in text


def test_methods_over_all_settings_by_hand(rows: list[Row], make_row: Callable[..., Row]) -> None:
    variants = []
    for row in (r for r in rows if r["config"]["edit"].get("fraction") == 0.01):
        other = json.loads(json.dumps(row))
        other["id"] += "-held-out"
        other["config"]["statistics"]["held_out"] = True
        other["metrics"]["memorized"] = 0.0 if row["config"]["recipe"]["epochs"] < 40 else 0.3
        variants.append(other)
    found = {(r["allowed_drop"], r["method"]): r for r in table([*rows, *variants], "regime_methods")}
    plain, other = found["0", "K-FAC"], found["0", "K-FAC held_out=True"]
    # of the four settings that are judged: .75, 2/3, 1/3 and none
    assert (plain["settings"], plain["works"], plain["more_than_kfac"]) == ("4", "1", "")
    assert float(plain["relative_fall"]) == pytest.approx((0.75 + 2 / 3 + 1 / 3) / 4, abs=1e-5)
    # 1 and 1 where .01 loses nothing, none at 40 and 50: +.25, +1/3, -1/3, 0
    assert float(other["fall_minus_kfac"]) == pytest.approx((0.25 + 1 / 3 - 1 / 3) / 4, abs=1e-5)
    half = stdtrit(3, 0.975) * np.std([0.25, 1 / 3, -1 / 3, 0], ddof=1) / 2
    assert float(other["fall_minus_kfac_interval"]) == pytest.approx(half, rel=1e-3)
    assert other["more_than_kfac"] == "2 of 4"
    p = ttest_1samp([0.25, 1 / 3, -1 / 3, 0], 0).pvalue
    assert float(other["p"]) == float(other["holm"]) == pytest.approx(p, rel=0.01)
    assert found["1", "K-FAC held_out=True"]["relative_fall"] == str(round((1 + 1 + 2 / 3 + 0) / 4, 6))


def test_a_method_that_edits_other_layers_says_which(rows: list[Row]) -> None:
    attention = []
    for row in (r for r in rows if r["config"]["edit"]["method"] == "kfac"):
        config = {**row["config"], "statistics": {**row["config"]["statistics"], "positions": "all"}}
        config["edit"] = {**config["edit"], "layers": ["attn.qkv", "mlp.fc1"]}
        attention.append({**row, "id": row["id"] + "-attention", "config": config})
    found = {r["method"]: r["layers"] for r in table([*rows, *attention], "regime_methods")}
    assert found == {"K-FAC": "", "K-FAC positions=all": "attn.qkv+mlp.fc1"}
    titles = [" ".join(axes.get_title().split()) for axes in regime_figure(Report("toy", [*rows, *attention])).axes]
    assert titles[:2] == ["K-FAC", "K-FAC positions=all (attn.qkv, mlp.fc1)"]
    assert table(rows, "regime_methods")[0]["layers"] == ""


def test_few_settings_have_no_map(rows: list[Row], toy: list[Row]) -> None:
    few = [row for row in rows if row["config"]["recipe"]["epochs"] > 10]
    noises = [{**r, "config": {**r["config"], "noise": {"name": n}}} for r in few[:3] for n in "abcdef"]
    for some in (few, noises, toy):
        assert not has_regime(Report("toy", some))
    made = Material("toy", few, "toy.yaml")
    assert not {"regime", "predictors"} & set(made.tables) and figures_section(made) is None


def test_predictors_against_scipy(rows: list[Row]) -> None:
    found = {row["quantity"]: row for row in table(rows, "predictors")}
    # of the four settings that are judged: .75, 2/3, 1/3 and 0, both seeds alike
    falls = np.repeat([0.75, 2 / 3, 1 / 3, 0.0], 2)
    loss = np.array([1 / e + 0.001 * s for e in (20, 30, 40, 50) for s in (0, 1)])
    one = found["train loss"]
    assert (one["settings"], one["trainings"], one["hits"]) == ("4", "8", "2")
    assert float(one["spearman"]) == pytest.approx(spearmanr(loss, falls).statistic, abs=1e-5)
    assert one["auroc"] == "1"
    memorized = found["memorized"]
    ties = np.repeat([0.8, 0.9, 0.9, 1.0], 2)
    assert float(memorized["spearman"]) == pytest.approx(spearmanr(ties, falls).statistic, abs=1e-5)
    assert memorized["auroc"] == "0"
    # of four settings neither interval nor p; recovered is .9 - memorized, and validation the same everywhere
    assert (memorized["p"], memorized["holm"], memorized["spearman_ends"]) == ("–", "–", "")
    assert set(found) == {"train loss", "memorized", "recovered"}


@given(st.lists(st.integers(-3, 8), min_size=60, max_size=200), st.sampled_from([0.0, 0.5]))
def test_a_p_of_resamples_and_their_interval_agree(drawn: list[int], centre: float) -> None:
    found = from_resamples(np.array([1.0]), np.array([*drawn, np.nan], float), centre)
    assert found.p is not None and (found.p <= 0.05) == (found.low > centre or found.high < centre)
    near = np.quantile(drawn, [0.025, 0.975], method="weibull")
    assert found.low <= near[0] + 1e-9 and found.high >= near[1] - 1e-9  # the interval is never the narrower one
    assert from_resamples(np.array([1.0]), np.array(drawn[:20], float)).p is None


def test_correlation_and_area_against_scipy_and_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x, y, hits = rng.integers(0, 6, 20).astype(float), rng.normal(size=20), rng.random(20) < 0.4
    resamples = Resamples(weights := np.vstack([np.ones(20), resampled(np.arange(20) // 2, 5).weights]))
    assert (weights[:, ::2] == weights[:, 1::2]).all() and (weights.sum(1) == 20).all()
    for number, times in enumerate(weights.astype(int)):
        some = np.repeat(np.arange(20), times)
        assert rank_correlation(x, y, resamples)[number] == pytest.approx(spearmanr(x[some], y[some]).statistic)
        assert separation(x, hits, resamples)[number] == pytest.approx(roc_auc_score(hits[some], x[some]))
    assert np.isnan(rank_correlation(np.ones(20), y, resamples)).all()
    assert np.isnan(separation(x, np.ones(20, bool), resamples)).all()


def write_analyses(folder: Path, header: str, *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fisher.csv").write_text("\n".join([header, *lines]) + "\n")


def test_analyses_are_averaged_over_layers_and_joined(rows: list[Row], tmp_path: Path) -> None:
    assert read_analyses(tmp_path) == {}
    head = "training,model,seed,layer,noisy_share,noisy_share_given"
    lines = [f"{e}-{s},vit,{s},{layer},{e / 100 + d},0.5" for e in SETTINGS for s in (0, 1) for layer, d in
             (("a", 0.1), ("b", -0.1))]  # fmt: skip
    write_analyses(tmp_path / "toy" / "analyses", head, *lines)
    analyses = read_analyses(tmp_path / "toy")
    assert averages(analyses)["20-1"] == pytest.approx({"noisy_share": 0.2, "noisy_share_given": 0.5})
    found = {row["quantity"]: row for row in table(rows, "predictors", analyses=analyses)}
    assert found["noisy share"]["spearman"] == "-1" and found["noisy share"]["auroc"] == "0"
    assert "noisy share given" not in found  # the same in all
    write_rows(tmp_path / "toy" / "rows.jsonl", rows)
    written = write_tables(tmp_path)
    assert "noisy share" in next(path for path in written if path.name == "predictors.md").read_text()
    assert check_tables(tmp_path) == []


@pytest.mark.parametrize("line", ["a,vit,0,fc1,nan,0.5", "a,vit,0,fc1", ",vit,0,fc1,0.1,0.5", "a,vit,0,fc1,much,1"])
def test_a_malformed_analysis_is_one_sentence(line: str, rows: list[Row], tmp_path: Path) -> None:
    write_analyses(tmp_path / "analyses", "training,model,seed,layer,noisy_share,noisy_share_given", line)
    with pytest.raises(
        InputError, match=r"fisher.csv:2: expected 6 columns|'noisy_share': expected a number, got"
    ) as caught:
        table(rows, "predictors", analyses=read_analyses(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_map_has_a_cell_a_setting_and_a_point(rows: list[Row]) -> None:
    report = Report("toy", rows)
    above, below = regime_figure(report).axes
    assert above.get_title() == "K-FAC"
    assert [text.get_text() for text in above.get_yticklabels()] == [f"epochs={e}" for e in SETTINGS]
    # what works is framed: one patch more; where nothing is to be removed there is no number
    assert len(above.patches) == 5 + 1
    assert [text.get_text() for text in above.texts] == ["75", "67", "33", "–"]
    drawn = [line.get_ydata()[0] for line in below.lines[:5]]  # type: ignore[index]
    assert drawn == pytest.approx([80, 75, 100 * 2 / 3, 100 / 3, 0])
    assert [outcome.verdict for outcome in outcomes(report, 0.0)].count("works") == 1


def test_the_maps_of_many_methods_stand_in_lines_and_break_no_word(rows: list[Row]) -> None:
    more = []
    for name in ("ckfac", "tkfac", "foof", "identity", "ekfac", "of_a_name_without_spaces"):
        for row in (r for r in rows if r["config"]["edit"]["method"] == "kfac"):
            edit = {**row["config"]["edit"], "importance": name}
            more.append({**row, "id": row["id"] + name, "config": {**row["config"], "edit": edit}})
    figure = regime_figure(Report("toy", [*rows, *more]))
    assert figure.get_figwidth() < 12 and len(figure.axes) == 2 * 7
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 7 and any(t.split("\n")[-1] == "importance=of_a_name_without_spaces" for t in titles)
    places = {round(axes.get_position().y0, 3) for axes in figure.axes if axes.get_title()}
    assert len(places) == 2  # four beside each other, three below


def test_of_many_networks_or_where_each_has_one_recipe_networks_are_rows(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in rows:
        config = row["config"]
        config["model"], config["recipe"] = {"name": "vit", "width": config["recipe"]["epochs"]}, {"epochs": 3}
    names = [f"width={width}" for width in SETTINGS]
    above = regime_figure(Report("toy", rows)).axes[0]
    assert [text.get_text() for text in above.get_yticklabels()] == names and len(above.patches) == 5 + 1
    assert [text.get_position() for text in above.texts] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    for row in rows:
        row["config"]["recipe"] = {"epochs": 2 * row["config"]["model"]["width"]}
    above = regime_figure(Report("toy", rows)).axes[0]
    assert [text.get_text() for text in above.get_yticklabels()] == [f"width={w} epochs={2 * w}" for w in SETTINGS]
    for row in rows:
        row["config"]["recipe"] = {"epochs": 3}
    longer = [{**row, "id": f"{row['id']}+", "config": {**row["config"], "recipe": {"epochs": 4}}} for row in rows]
    above = regime_figure(Report("toy", [*rows, *longer])).axes[0]
    assert [text.get_text() for text in above.get_xticklabels()] == names  # of two recipes five are not many
    assert [text.get_text() for text in above.get_yticklabels()] == ["epochs=3", "epochs=4"]
    monkeypatch.setattr("vitmem.reports.studies.regime.figures.MANY", 4)
    above = regime_figure(Report("toy", [*rows, *longer])).axes[0]
    assert [text.get_text() for text in above.get_yticklabels()] == names and len(above.patches) == 2 * (5 + 1)


def test_the_ablation_is_no_outcome(rows: list[Row]) -> None:
    ablated = []
    for row in (r for r in rows if r["config"]["edit"]["method"] == "kfac"):
        edit = {"method": "ablate", "blocks": "last"}
        ablated.append({**row, "id": row["id"] + "ablate", "config": {**row["config"], "edit": edit}})
    seen = {(row["config"]["seed"], row["config"]["recipe"]["epochs"]): row for row in ablated}
    found = outcomes(Report("toy", [*rows, *seen.values()]), 0.0)
    assert {outcome.first.method for outcome in found} == {"kfac"}


def test_of_many_pairs_of_training_and_method_part_of_the_heat_maps_is_drawn(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in rows:
        change = {"relative_change": 0.5}
        row["edit"]["layers"] = {} if row["config"]["edit"]["method"] == "none" else {"fc1": change, "fc2": change}
    svd = []
    for row in (r for r in rows if r["config"]["edit"]["method"] == "kfac"):
        edit = {"method": "svd", "blocks": "last", "rank_fraction": row["config"]["edit"]["fraction"]}
        svd.append({**row, "id": row["id"] + "svd", "config": {**row["config"], "edit": edit}})
    made = Material("toy", [*rows, *svd], "toy.yaml")
    maps, left_out = heat_maps(made)
    assert (len(maps), left_out) == (10, 0)
    monkeypatch.setattr("vitmem.reports.page.heat.MANY", 9)
    maps, left_out = heat_maps(made)
    assert (len(maps), left_out) == (6, 4)  # both methods of the first training, K-FAC of the four others
    section = heat_section(made)
    assert section is not None and "the 4 other pairs" in str(section.parts[-1].content)


def test_the_map_is_a_file(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIGURES.get("tradeoff"), "draw", lambda *_: None)  # it is drawn by tests of its own
    write_rows(tmp_path / "toy" / "rows.jsonl", rows)
    assert [path.name for path in write_figures(tmp_path)] == ["regime.svg", "regime.png"]


def test_the_section_of_the_page(rows: list[Row]) -> None:
    made = Material("toy", rows, "toy.yaml")
    section = figures_section(made)
    assert section is not None and [part.kind for part in section.parts] == ["figures", "table"]
    assert {"regime_methods", "predictors"} <= made.tables.keys()
    assert "K-FAC works in 1 of 4" in section.parts[0].content[0].alternative

"""Suites: sweeps, products, exclusions and one sentence for every typo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vitmem.bench.plan import make_plan
from vitmem.bench.suite import cell_configs, load_suite
from vitmem.errors import InputError

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "suites").glob("*.yaml"))
Write = Callable[..., Path]


def cells(path: Path) -> list[dict]:
    return list(cell_configs(load_suite(path), path))


def test_the_product_of_axes_and_sweeps(write: Write, tmp_path: Path) -> None:
    # 2 seeds x 2 noises x 2 widths x (1 base + 2 block sets x 3 fractions)
    found = cells(write())
    assert len(found) == 2 * 2 * 2 * 7
    assert {c["model"]["width"] for c in found} == {32, 64}
    assert {str(c["edit"].get("blocks")) for c in found} == {"None", "last", "[0, 1]"}


def test_exclude_takes_out_what_it_names(write: Write, tmp_path: Path) -> None:
    out = [{"noise": {"name": "pair"}, "edit": {"method": "kfac", "fraction": [0.2, 0.3]}}]
    assert len(cells(write(exclude=out))) == 56 - 2 * 2 * 2 * 2


def test_defaults_are_filled_in_and_none_is_left_out(write: Write, tmp_path: Path) -> None:
    cell = cells(write())[0]
    assert cell["recipe"]["batch_size"] == 128
    assert "steps" not in cell["recipe"]
    assert "statistics" not in cell  # the unedited model reads none


def test_layers_are_a_list_and_a_list_of_lists_is_a_sweep(write: Write, tmp_path: Path) -> None:
    edit = {"method": "svd", "blocks": "last", "rank_fraction": 0.1}
    one = cells(write(edits=[{**edit, "layers": ["mlp.fc1", "mlp.fc2"]}]))
    two = cells(write(edits=[{**edit, "layers": [["mlp.fc1"], ["mlp.fc2"]]}]))
    assert one[0]["edit"]["layers"] == ["mlp.fc1", "mlp.fc2"]
    assert len(two) == 2 * len(one)


def test_a_matrix_is_rows_and_a_list_of_matrices_is_a_sweep(write: Write) -> None:
    flip, stay = [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
    one = cells(write(noise={"name": "transition", "matrix": flip}))
    two = cells(write(noise={"name": "transition", "matrix": [flip, stay]}))
    assert one[0]["noise"] == {"name": "transition", "matrix": flip}
    assert [m for m in (flip, stay) if any(c["noise"]["matrix"] == m for c in two)] == [flip, stay]
    assert len(two) == 2 * len(one)
    pairs = cells(write(noise={"name": "interclass_confusion", "rate": 0.1, "classes": [[3, 5], [1, 7]]}))
    assert len(pairs) == len(two) and pairs[0]["noise"]["classes"] == [3, 5]


def test_a_recipe_is_read_from_a_file_beside_the_suite(write: Write, tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text("epochs: 9\nlr: 0.5\n")
    assert cells(write(recipe="long.yaml"))[0]["recipe"]["lr"] == 0.5


def test_several_names_share_their_parameters(write: Write) -> None:
    edits = [{"method": ["kfac", "random_basis"], "blocks": "last", "fraction": [0.1, 0.2]}]
    found = {(c["edit"]["method"], c["edit"]["fraction"]) for c in cells(write(edits=edits))}
    assert found == {("kfac", 0.1), ("kfac", 0.2), ("random_basis", 0.1), ("random_basis", 0.2)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seedz": [1]}, "unknown key 'seedz'; did you mean 'seeds'?"),
        ({"noise": None}, "'noise': field required for images"),
        ({"data": "digits"}, "'data': expected a mapping such as {name: ...}, got 'digits'"),
        ({"exclude": [{"modle": {"name": "vit"}}]}, "'modle'; did you mean 'model'?"),
        ({"exclude": [{"model": {"name": "vit", "widht": 32}}]}, "matches no cell"),
        ({"edits": [{"method": "kfac", "blocks": "last", "fraction": []}]}, "'fraction': expected a value or a list"),
        ({"model": {"name": "vti"}}, "unknown model 'vti'; did you mean 'vit'?"),
        ({"model": {"name": "vit", "widht": 3}}, "unknown key 'widht'; did you mean 'width'?"),
        ({"noise": {"name": "symmetric", "rate": 1.5}}, "'rate': input should be less than or equal to 1, got 1.5"),
        ({"noise": {"name": "symmetric"}}, "'rate': field required"),
        ({"data": {"nam": "digits"}}, "missing key 'name'"),
        ({"data": {"name": {"digits": 1}}}, "'name': expected a name or a list of names, got {'digits': 1}"),
        ({"edits": [{"method": [3], "blocks": "last"}]}, "'method': expected a name or a list of names"),
        ({"data": {"name": "digits", "train": -1}}, "'train': input should be greater than 0, got -1"),
        ({"recipe": {"epochs": 1, "steps": 2}}, "give exactly one of 'epochs' and 'steps'"),
        ({"recipe": "nowhere.yaml"}, "no such file"),
        ({"statistics": {"labels": "samples"}}, "'labels': input should be 'sampled', 'given'"),
        ({"statistics": {"distinct": True}}, "'distinct' leaves out rows of text"),
        ({"statistics": {"held_out": True, "labels": "given"}}, "'held_out' images have true labels, which no edit"),
        ({"statistics": {"temperature": 2, "labels": "logit_jacobian"}}, "a 'temperature' changes nothing with labels"),
        ({"statistics": {"temperature": 0}}, "'temperature': input should be greater than 0, got 0"),
        ({"edits": [{"method": "kfac", "fraction": 0.1}]}, "needs 'blocks'"),
        ({"edits": [{"method": "head_refit", "blocks": "last"}]}, "'head_refit' edits no blocks; leave out 'blocks'"),
        ({"edits": [{"method": "head_refit", "layers": ["x"]}]}, "'head_refit' edits no blocks; leave out 'layers'"),
        ({"edits": [{"method": "kfac", "blocks": "lats", "fraction": 0.1}]}, "unknown block set 'lats'"),
        (
            {"edits": [{"method": "kfac", "blocks": "last"}]},
            "exactly one of 'mass', 'fraction', 'match_drop' and 'match_loss'",
        ),
        ({"seeds": []}, "'seeds'"),
        ({"name": "Not A Name"}, "'name'"),
    ],
)
def test_a_typo_is_one_sentence(write: Write, tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises(InputError) as caught:
        cells(write(**changes))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_excluded_need_not_fit_together(write: Write) -> None:
    sweep = {"held_out": [True, False], "labels": ["sampled", "given"]}
    path = write(statistics=sweep, exclude=[{"statistics": {"held_out": True, "labels": "given"}}])
    found = {tuple(sorted(c["statistics"].items())) for c in cells(path) if "statistics" in c}
    assert len(found) == 3


@pytest.mark.parametrize(("text", "says"), [("a: [", "not valid YAML"), ("- a\n", "expected a mapping")])
def test_a_file_that_is_no_suite(write: Write, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_suite(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_suite_is_planned(path: Path) -> None:
    plan = make_plan(load_suite(path), path)
    assert plan.suite.name == path.stem
    assert any(c.config["edit"]["method"] == "none" for c in plan.cells)

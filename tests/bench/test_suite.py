"""Suites: sweeps, products, exclusions and one sentence for every typo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vitmem.bench.plan import make_plan
from vitmem.bench.suite import cells_of, load_suite
from vitmem.errors import InputError

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "suites").glob("*.yaml"))
Write = Callable[..., Path]


def cells(path: Path) -> list[dict]:
    return [cell.config for cell in cells_of(load_suite(path), path)]


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
        ({"statistics": {"distinct": True}}, "'distinct' omits repeated training rows of text"),
        ({"statistics": {"held_out": True, "labels": "given"}}, "would read the true labels of 'held_out' images"),
        ({"statistics": {"temperature": 2, "labels": "logit_jacobian"}}, "'temperature' has no effect with labels"),
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
        ({"seeds": [0, 1, 0]}, "'seeds': 0 comes twice"),
        ({"seeds": 0}, "'seeds': expected a number of seeds, 1 to 100, or a list such as [0], got 0"),
        ({"seeds": 2024}, "or a list such as [2024]"),
        ({"seeds": True}, "'seeds': input should be a list, got True"),
        ({"seeds": [True]}, "'seeds.0': input should be a valid integer, got True"),
        ({"oracles": ["true_labels", "true_labels"]}, "'oracles': 'true_labels' comes twice"),
        ({"noise": {"name": "symmetric", "rate": True}}, "'rate': input should be a valid number, got True"),
        ({"noise": {"name": "symmetric", "rate": "0,1"}}, "got '0,1'; a number has a point: 0.1"),
        ({"noise": {"name": "pmd", "rate": 0.1, "probabilities": "p", "type": True}}, "'type': input should be 1 or 2"),
        ({"noise": {"name": "symmetric", "rate": [0.1, 0.1]}}, "noise: 'rate': 0.1 comes twice"),
        ({"noise": {"name": "symmetric", "rate": [1, 1.0]}}, "'noise': {'name': 'symmetric', 'rate': 1.0} comes twice"),
        ({"recipe": {"epochs": True}}, "'epochs': input should be a valid integer, got True"),
        ({"recipe": {"epochs": 2.0}}, "'epochs': input should be a valid integer, got 2.0; write 2"),
        ({"recipe": {"epochs": "2"}}, "got '2'; without quotes it is a number"),
        ({"recipe": {"epochs": 2, "flip": 1}}, "'flip': input should be a valid boolean, got 1"),
        ({"recipe": {"epochs": 2, "flip": "yes"}}, "'flip': input should be a valid boolean, got 'yes'"),
        ({"recipe": [{"epochs": 2}, {"epochs": 2, "batch_size": 128}]}, "comes twice"),
        ({"recipe": []}, "'recipe': expected a mapping or a list of them, got an empty list"),
        ({"data": []}, "'data': expected a mapping or a list"),
        ({"data": {"name": []}}, "'name': expected a name or a list of names, got an empty list"),
        ({"model": {"name": True}}, "'name': expected a name or a list of names, got True"),
        ({"edits": [{"method": "kfac", "blocks": True, "fraction": 0.1}]}, "a valid string or a valid integer or"),
        (
            {"edits": [{"method": "kfac", "blocks": "last", "fraction": f} for f in (0.1, [0.2, 0.1])]},
            "'fraction': 0.1, 'importance': 'kfac', 'method': 'kfac', 'side': 'both'} comes twice",
        ),
        ({"exclude": [{"seed": True}]}, "{'seed': True} matches no cell"),
        ({"exclude": [{"seed": [0, 1]}]}, "exclude: no cell is left"),
        ({"model": {"name": "vit", "width": [*range(1, 999)], "depth": [*range(1, 999)]}}, "combinations, more than"),
        ({"name": "x" * 300}, "'name': string should have at most 100 characters"),
        ({"data": {"name": "x" * 100_000}}, "unknown data 'xxx"),
        ({"model": {"name": "vit", "x" * 100_000: 1}}, "unknown key 'xxx"),
        ({"name": "Not A Name"}, "'name'"),
    ],
)
def test_a_typo_is_one_sentence(write: Write, tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises(InputError) as caught:
        cells(write(**changes))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 400


def test_a_number_of_seeds_counts_from_0_and_seed_is_a_typo(write: Write, tmp_path: Path) -> None:
    assert load_suite(write(seeds=5)).seeds == (0, 1, 2, 3, 4)
    path = write()
    path.write_text(path.read_text().replace("seeds:", "seed:"))
    with pytest.raises(InputError, match="unknown key 'seed'; did you mean 'seeds'"):
        load_suite(path)


def test_an_exponent_needs_no_point(write: Write) -> None:
    path = write(recipe="R")
    path.write_text(path.read_text().replace("recipe: R", "recipe: {epochs: 1, lr: 1e-3}"))
    assert cells(path)[0]["recipe"]["lr"] == 0.001


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


def test_blocks_of_a_network_are_a_list_and_no_sweep(write: Callable[..., Path]) -> None:
    model = {"name": "timm/test_vit", "blocks": ["blocks.0", "blocks.1"], "layers": ["mlp.fc1"]}
    path = write(model=model, noise={"name": "symmetric", "rate": 0.1}, seeds=[0], edits=[{"method": "none"}])
    (config,) = cells(path)
    assert config["model"]["blocks"] == ["blocks.0", "blocks.1"] and config["model"]["layers"] == ["mlp.fc1"]


def test_coarse_labels_are_other_data_and_have_no_views(write: Write) -> None:
    found = cells(write(data={"name": "cifar100", "labels": [None, "coarse"]}))
    assert [c["data"] for c in (found[0], found[-1])] == [
        {"name": "cifar100"},
        {"name": "cifar100", "labels": "coarse"},
    ]
    with pytest.raises(InputError, match="have its fine labels, not the coarse ones; leave 'views' or 'labels' out"):
        cells(write(data={"name": "cifar100", "labels": "coarse"}, views=["without_duplicates"]))


@pytest.mark.parametrize("key", ["train", "validation"])
def test_text_has_no_number_of_images(write: Write, key: str) -> None:
    content = {
        "data": {"name": "spectrum", key: 5}, "noise": None, "model": {"name": "llama"}, "edits": [{"method": "none"}],
    }  # fmt: skip
    with pytest.raises(InputError, match=f"data 'spectrum': '{key}' counts images, but this is text; leave it out"):
        cells(write(**content))

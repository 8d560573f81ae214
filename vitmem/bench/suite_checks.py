"""What has to fit together in a suite, told in one sentence. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from typing import Any

from vitmem.blocks import BLOCK_SETS
from vitmem.entries import Edit
from vitmem.errors import InputError, shown, unknown
from vitmem.registry import DATA, EDITS, MODELS
from vitmem.specs import canonical

Config = dict[str, Any]


def check_keys(given: Config, known: Collection[str], where: str) -> None:
    """Raise InputError for a key of ``given`` that is not ``known``, offering the nearest."""
    for key in given:
        if key not in known:
            raise unknown(f"key in {where}:", key, known)


def check_once(values: Collection[Any], where: str) -> None:
    """Raise InputError for a value that comes twice among ``values``: its cells would be one."""
    seen: set[str] = set()
    for value in values:
        text = json.dumps(canonical(value), sort_keys=True)
        if text in seen:
            raise InputError(f"{where}: {shown(value)} comes twice; leave one out")
        seen.add(text)


def check_dropout(model: Config, recipe: Config, where: str) -> None:
    """Raise InputError when the recipe sets a dropout that the model has not."""
    if recipe.get("dropout") is not None and "dropout" not in MODELS.get(model["name"]).model_fields:
        raise InputError(f"{where}: recipe: model '{model['name']}' has no 'dropout'; leave it out of the recipe")


def check_modality(data: Config, model: Config, where: str) -> None:
    """Raise InputError when the model reads images and the data are text, or the other way round."""
    is_of = DATA.get(data["name"]).modality
    reads = MODELS.get(model["name"]).modality
    if is_of not in reads:
        raise InputError(
            f"{where}: data '{data['name']}' is {is_of}, model '{model['name']}' reads {' or '.join(reads)}; "
            "'vitmem list models' names others"
        )


def check_noise(data: Config, noise: Config | None, where: str) -> None:
    """Raise InputError for images without a noise model, and for text with one."""
    text = DATA.get(data["name"]).modality != "image"
    if text and noise is not None and noise["name"] != "none":
        raise InputError(f"{where}: noise '{noise['name']}' is for images; text has strings to memorize, leave it out")
    if not text and noise is None:
        raise InputError(f"{where}: 'noise': field required for images, such as {{name: symmetric, rate: 0.1}}")


def check_oracles(data: Config, oracles: Collection[str], where: str) -> None:
    """Raise InputError for oracles of data that have no wrong labels to know of."""
    if oracles and DATA.get(data["name"]).modality != "image":
        raise InputError(f"{where}: 'oracles': they know the true labels of images, data '{data['name']}' has none")


def check_views(data: Config, views: Collection[str], where: str) -> None:
    """Raise InputError for a view that the data set has not."""
    has = DATA.get(data["name"]).views
    for view in views:
        if view not in has:
            known = f"it has {', '.join(has)}" if has else "leave 'views' out"
            raise InputError(f"{where}: 'views': data '{data['name']}' has no '{view}'; {known}")
    if views and data.get("labels") == "coarse":
        raise InputError(
            f"{where}: 'views': the files about the test images of {data['name']} know its fine labels, not the coarse "
            "ones; leave 'views' or 'labels' out"
        )


def check_blocks(edit: Config, where: str) -> None:
    """Raise InputError for an edit that names no blocks or an unknown set of them, or blocks that it cannot edit."""
    blocks = edit.get("blocks")
    if not EDITS.get(edit["method"]).edits_blocks:
        for key in ("blocks", "layers"):
            if edit.get(key) is not None:
                raise InputError(f"{where}: method '{edit['method']}' edits no blocks; leave out '{key}'")
        return
    if blocks is None:
        raise InputError(
            f"{where}: method '{edit['method']}' needs 'blocks': one of {', '.join(BLOCK_SETS)} or numbers"
        )
    if isinstance(blocks, str) and blocks not in BLOCK_SETS:
        from_names = ", ".join(BLOCK_SETS)
        raise InputError(f"{where}: unknown block set '{blocks}'; expected one of {from_names} or block numbers")


def check_tied(data: Config, recipe: Config, where: str) -> None:
    """Raise InputError for hidden units that are to be tied to examples where there are no images."""
    if recipe.get("example_tied") is not None and DATA.get(data["name"]).modality != "image":
        raise InputError(
            f"{where}: recipe: 'example_tied' ties hidden units to images, data '{data['name']}' has none; leave it out"
        )


def check_needs_tied(edit: Edit, recipe: Config, where: str) -> None:
    """Raise InputError for a method that needs hidden units tied to examples, where the recipe does not tie them."""
    for one in edit.chain():
        if one.needs_tied and recipe.get("example_tied") is None:
            raise InputError(
                f"{where}: edits: method '{one.name}' needs a recipe with 'example_tied', such as {{fixed: 0.2, "
                f"memory: 0.1}}; add it, or take the others out: exclude {{edit: {{method: {edit.name}}}, recipe: "
                "{example_tied: null}}"
            )


def check_weights(model: Config, where: str) -> None:
    """Raise InputError for a file of weights where a model takes none, or has others already."""
    entry = MODELS.get(model["name"])
    if "weights" not in model or "weights" in entry.model_fields:
        return
    if "image" not in entry.modality:
        raise InputError(f"{where}: 'weights' is for image models; model '{model['name']}' is a language model")
    if model.get("pretrained"):
        raise InputError(f"{where}: model '{model['name']}': expected 'weights' or 'pretrained', got both")


def check_recipe(data: Config, model: Config, recipe: Config, where: str) -> None:
    """Raise InputError for a model that is to be trained without a recipe, and for a trained one with it.

    Some data train on a model that came trained.
    """
    trains_on = DATA.get(data["name"]).trains_on
    trained = MODELS.get(model["name"]).trained and not trains_on
    if trained and recipe:
        raise InputError(f"{where}: 'recipe': model '{model['name']}' came trained; leave it out")
    if not trained and not recipe:
        raise InputError(f"{where}: 'recipe': field required, such as {{epochs: 30}} or a file's name")


def remarks(cells: Iterable[Any]) -> list[str]:
    """Return a sentence for each recipe of ``cells`` that is allowed, and hardly what was meant."""
    found: dict[str, None] = {}
    for cell in cells:
        config = cell.config
        length = _epochs(config["recipe"], config["data"].get("train"))
        if length is not None and (warmup := config["recipe"]["warmup_epochs"]) > length:
            found[
                f"note: the warm-up of {warmup:g} epochs outlasts the training of {length:g}, whose learning rate only "
                "rises; set 'warmup_epochs'"
            ] = None
    return list(found)


def _epochs(recipe: Config, train: int | None) -> float | None:
    """Return how many epochs a training takes, ``None`` where there is none or the number of images is not known."""
    if recipe.get("epochs") is not None:
        return float(recipe["epochs"])
    if recipe.get("steps") is None or train is None:
        return None
    return float(recipe["steps"]) / math.ceil(train / recipe["batch_size"])

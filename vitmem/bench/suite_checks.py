"""Consistency checks of a suite, with one-sentence errors. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from vitmem.bench.cells import Cell, ChosenData, ChosenEdit, ChosenModel, ChosenNoise, Training
from vitmem.bench.ids import Config
from vitmem.blocks import BLOCK_SETS
from vitmem.errors import InputError, shown, unknown
from vitmem.recipe import OVERRIDES, Recipe
from vitmem.specs import canonical

# What changes the images that a network is trained on.
AUGMENTATIONS = ("random_resized_crop", "rand_augment", "random_erasing", "mixup", "cutmix")


def check_keys(given: Config, known: Collection[str], where: str) -> None:
    """Raise InputError for a key of ``given`` that is not ``known``, with the nearest known key."""
    for key in given:
        if key not in known:
            raise unknown(f"key in {where}:", key, known)


def check_once(values: Collection[Any], where: str) -> None:
    """Raise InputError for a repeated value, since its cells would have equal ids."""
    seen: set[str] = set()
    for value in values:
        text = json.dumps(canonical(value), sort_keys=True)
        if text in seen:
            raise InputError(f"{where}: {shown(value)} comes twice; remove one")
        seen.add(text)


def check_dropout(model: ChosenModel, recipe: Recipe | None, where: str) -> None:
    """Raise InputError if the recipe sets a dropout or stochastic depth but the model has no such parameter."""
    for name in OVERRIDES if recipe is not None else ():
        if getattr(recipe, name) is not None and name not in type(model.entry).model_fields:
            raise InputError(f"{where}: recipe: model '{model.name}' has no '{name}'; leave it out of the recipe")


def check_protocol(data: ChosenData, model: ChosenModel, where: str) -> None:
    """Raise InputError if the model cannot read the data, or if text has a number of images."""
    is_of, reads = data.entry.protocol, model.entry.protocols
    if is_of not in reads:
        raise InputError(
            f"{where}: data '{data.name}' is {is_of}, model '{model.name}' reads {' or '.join(reads)}; "
            "'vitmem list models' names others"
        )
    for key in ("train", "validation"):
        if is_of != "image" and getattr(data.shared, key) is not None:
            raise InputError(f"{where}: data '{data.name}': '{key}' counts images, but this is {is_of}; leave it out")


def check_noise(data: ChosenData, noise: ChosenNoise | None, where: str) -> None:
    """Raise InputError for images without a noise model and for text with one."""
    text = data.entry.protocol != "image"
    if text and noise is not None and noise.name != "none":
        raise InputError(f"{where}: noise '{noise.name}' is for images; text has strings to memorize: leave it out")
    if not text and noise is None:
        raise InputError(f"{where}: 'noise': field required for images, such as {{name: symmetric, rate: 0.1}}")


def check_oracles(data: ChosenData, model: ChosenModel, oracles: Collection[str], where: str) -> None:
    """Raise InputError for oracles of data without wrong labels or of a model that is not trained here."""
    if oracles and model.shared.trained is not None:
        raise InputError(f"{where}: 'oracles' are trained, but model '{model.name}' is trained already; leave them out")
    if oracles and data.entry.protocol != "image":
        raise InputError(f"{where}: 'oracles' use the true labels of images; data '{data.name}' has none")


def check_views(data: ChosenData, views: Collection[str], where: str) -> None:
    """Raise InputError for a view that the data set does not have."""
    has = data.entry.views
    for view in views:
        if view not in has:
            known = f"it has {', '.join(has)}" if has else "leave 'views' out"
            raise InputError(f"{where}: 'views': data '{data.name}' has no '{view}'; {known}")
    if views and data.config.get("labels") == "coarse":
        raise InputError(
            f"{where}: 'views': the files about the test images of {data.name} have its fine labels, not the coarse "
            "ones; leave 'views' or 'labels' out"
        )


def check_blocks(edit: ChosenEdit, where: str) -> None:
    """Raise InputError for missing, unknown or superfluous ``blocks`` and ``layers`` of an edit."""
    blocks, layers = edit.shared.blocks, edit.shared.layers
    if not edit.entry.edits_blocks:
        for key, value in (("blocks", blocks), ("layers", layers)):
            if value is not None:
                raise InputError(f"{where}: method '{edit.name}' edits no blocks; leave out '{key}'")
        return
    if blocks is None:
        raise InputError(f"{where}: method '{edit.name}' needs 'blocks': one of {', '.join(BLOCK_SETS)} or numbers")
    if isinstance(blocks, str) and blocks not in BLOCK_SETS:
        from_names = ", ".join(BLOCK_SETS)
        raise InputError(f"{where}: unknown block set '{blocks}'; expected one of {from_names} or block numbers")


def check_tied(data: ChosenData, recipe: Recipe | None, where: str) -> None:
    """Raise InputError for example-tied hidden units without images."""
    if recipe is not None and recipe.example_tied is not None and data.entry.protocol != "image":
        raise InputError(
            f"{where}: recipe: 'example_tied' ties hidden units to images, data '{data.name}' has none; leave it out"
        )


def check_precision(data: ChosenData, recipe: Recipe | None, where: str) -> None:
    """Raise InputError for float64 weights where there are no images: language models are read in float32."""
    if recipe is not None and recipe.precision == "64" and data.entry.protocol != "image":
        raise InputError(
            f"{where}: recipe: precision '64' is for images, data '{data.name}' has none; take '32' or leave it out"
        )


def check_needs_tied(edit: ChosenEdit, recipe: Recipe | None, where: str) -> None:
    """Raise InputError for a method that needs example-tied hidden units if the recipe has none."""
    for one in edit.entry.chain():
        if one.needs_tied and (recipe is None or recipe.example_tied is None):
            raise InputError(
                f"{where}: edits: method '{one.name}' needs a recipe with 'example_tied', such as {{fixed: 0.2, "
                f"memory: 0.1}}; add it, or exclude the other recipes: {{edit: {{method: {edit.name}}}, recipe: "
                "{example_tied: null}}"
            )


def check_weights(model: ChosenModel, where: str) -> None:
    """Raise InputError for weights or a normalisation of a language model, and for weights from two sources."""
    given = [key for key in ("weights", "trained", "normalisation") if getattr(model.shared, key) is not None]
    if given and "image" not in model.entry.protocols:
        raise InputError(f"{where}: '{given[0]}' is for image models; model '{model.name}' is a language model")
    sources = [
        *(key for key in given if key != "normalisation"),
        *(["pretrained"] if model.config.get("pretrained") else []),
    ]
    if len(sources) > 1:
        raise InputError(f"{where}: model '{model.name}': expected '{sources[0]}' or '{sources[1]}', got both")


def check_freeze(data: ChosenData, recipe: Recipe | None, where: str) -> None:
    """Raise InputError for ``freeze`` with a network that reads no images."""
    if recipe is not None and recipe.freeze is not None and data.entry.protocol != "image":
        raise InputError(f"{where}: recipe: 'freeze' is for networks that read images; leave it out for '{data.name}'")


def check_augmentation(data: ChosenData, recipe: Recipe | None, where: str) -> None:
    """Raise InputError for augmentations of images where there are none, and for crops of files that are not kept."""
    asked = [name for name in AUGMENTATIONS if recipe is not None and getattr(recipe, name) is not None]
    if asked and data.entry.protocol != "image":
        raise InputError(f"{where}: recipe: '{asked[0]}' is for images, data '{data.name}' has none; leave it out")
    if "random_resized_crop" in asked and getattr(data.entry, "loading", None) == "memory":
        raise InputError(
            f"{where}: recipe: 'random_resized_crop' cuts from images at their own size, which data '{data.name}' with "
            "'loading: memory' does not keep; leave 'loading' out"
        )


def check_recipe(data: ChosenData, model: ChosenModel, recipe: Recipe | None, where: str) -> None:
    """Raise InputError for an untrained model without a recipe and for a trained model with one.

    Data with ``trains_on`` train a pretrained model further, so they need a recipe.
    """
    by_file = model.shared.trained is not None
    trained = by_file or (model.entry.trained and not data.entry.trains_on)
    if trained and recipe is not None:
        more = "; to continue training from its file, pass the file as 'weights'" if by_file else ""
        raise InputError(f"{where}: 'recipe': model '{model.name}' is trained already; leave it out{more}")
    if not trained and recipe is None:
        images = "; for a trained network, give its weights as 'trained': {name: ..., trained: net.pt}"
        more = images if "image" in model.entry.protocols else ""
        raise InputError(f"{where}: 'recipe': field required, such as {{epochs: 30}} or a file's name{more}")


def remarks(cells: Iterable[Cell]) -> list[str]:
    """Return a warning for each valid but unlikely recipe of ``cells``."""
    trainings = {cell.training: None for cell in cells}
    return list(dict.fromkeys(line for training in trainings for line in _remarks(training)))


def _remarks(training: Training) -> Iterator[str]:
    recipe, train = training.recipe, training.data.shared.train
    if recipe is None:
        return
    # the number of images may be unknown here; two lengths in epochs do not need it
    per_epoch = None if train is None else math.ceil(train / recipe.batch_size)
    length = recipe.steps or (recipe.epochs or 0) * (per_epoch or 1)
    warmup = recipe.warmup(per_epoch or 1)
    alike = (recipe.steps is None) == (recipe.warmup_steps is None)
    if warmup > length and (alike or per_epoch is not None):
        unit, one = ("epochs", per_epoch or 1) if recipe.warmup_steps is None else ("steps", 1)
        yield (
            f"note: the warm-up of {warmup / one:g} {unit} outlasts the training of {length / one:g}, so the "
            f"learning rate only rises; set 'warmup_{unit}'"
        )
    if recipe.ema is not None and (recipe.steps or per_epoch) and (averaged := 1 / (1 - recipe.ema)) > length:
        yield (
            f"note: 'ema' of {recipe.ema:g} averages over about {averaged:,.0f} steps, more than the {length:,} of the "
            "training, so its first steps have the largest weight; use a smaller value"
        )
    model = training.model
    if recipe.freeze and model.shared.weights is None and not model.config.get("pretrained"):
        yield (
            f"note: the frozen trunk of {model.name} keeps its random initial weights; give "
            "'weights' or 'pretrained' with the model, or leave 'freeze' out"
        )

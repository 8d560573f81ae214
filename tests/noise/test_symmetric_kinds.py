"""Symmetric noise under its other definitions: over all classes, stratified, permuted, and as published code has it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chisquare

from vitmem.data.cifar import CIFAR100_COARSE
from vitmem.entries import Noise
from vitmem.errors import InputError, VitmemError
from vitmem.noise.base import NoiseContext, NoisyLabels, make
from vitmem.registry import NOISES

Draw = Callable[..., NoisyLabels]
CLEAN = np.arange(60_000) % 10


@pytest.mark.parametrize(("classes", "share"), [(10, 0.09), (100, 0.099)])
def test_inclusive_leaves_one_in_k_right(draw: Draw, classes: int, share: float) -> None:
    labels = draw("symmetric_inclusive", np.arange(50_000) % classes, classes, rate=0.1)
    assert labels.chosen.sum() == 5000 and not (labels.changed & ~labels.chosen).any()
    assert labels.nominal == 0.1
    # 5,000 draws, each wrong with probability 1 - 1 / K: four standard deviations
    spread = 4 * np.sqrt(5000 * (1 - 1 / classes) / classes) / 50_000
    assert labels.realised == pytest.approx(share, abs=spread)


def test_inclusive_targets_are_uniform_over_all_classes(draw: Draw) -> None:
    labels = draw("symmetric_inclusive", CLEAN, seed=3, rate=0.5)
    for c in range(10):
        targets = np.bincount(labels.given[(c == CLEAN) & labels.chosen], minlength=10)
        assert chisquare(targets).pvalue > 1e-4


def test_permuted_labels_keep_the_number_of_every_class(draw: Draw) -> None:
    clean = np.random.default_rng(0).integers(0, 10, 20_000)
    labels = draw("permute", clean, rate=0.5)
    np.testing.assert_array_equal(np.bincount(labels.given), np.bincount(clean))
    assert labels.chosen.sum() == 10_000
    assert labels.realised == pytest.approx(0.45, abs=0.01)
    # over all chosen images the new label says nothing of the old one
    chosen = labels.chosen
    pairs = np.histogram2d(clean[chosen], labels.given[chosen], bins=10)[0]
    expected = np.outer(pairs.sum(1), pairs.sum(0)) / pairs.sum()
    assert chisquare(pairs.ravel(), expected.ravel(), ddof=18).pvalue > 1e-4


@pytest.mark.parametrize("name", ["symmetric", "symmetric_inclusive", "permute"])
def test_stratified_counts_are_exact_in_every_class(draw: Draw, name: str) -> None:
    clean = np.repeat(np.arange(10), np.arange(10) * 13 + 5)  # 5 to 122 images
    labels = draw(name, clean, rate=0.31, stratified=True)
    assert labels.chosen.sum() == round(0.31 * len(clean))
    share = np.bincount(clean[labels.chosen], minlength=10) - 0.31 * np.bincount(clean)
    assert np.abs(share).max() < 1
    plain = draw(name, clean, rate=0.31)
    assert np.abs(np.bincount(clean[plain.chosen], minlength=10) - 0.31 * np.bincount(clean)).max() > 1


def test_stratified_off_is_the_same_as_left_out() -> None:
    off = NOISES.get("symmetric").parse({"rate": 0.1, "stratified": False}, "noise")
    assert off.model_dump(mode="json", exclude_none=True) == {"rate": 0.1}


def test_the_offset_of_maini_never_draws_the_class_before(draw: Draw) -> None:
    labels = draw("maini_offset_legacy", CLEAN, rate=0.5)
    assert labels.changed.sum() == 30_000
    offsets = np.bincount((labels.given - CLEAN)[labels.changed] % 10, minlength=10)
    assert offsets[0] == offsets[9] == 0
    assert chisquare(offsets[1:9]).pvalue > 1e-4
    # the test that the plain symmetric noise passes notices the slip
    assert chisquare(offsets[1:]).pvalue < 1e-10
    with pytest.raises(InputError, match="three classes or more, got 2"):
        draw("maini_offset_legacy", [0, 1], 2, rate=0.5)


def test_blocks_of_five_are_not_superclasses(draw: Draw) -> None:
    labels = draw("asym_block5_legacy", np.arange(2000) % 100, 100, dataset="cifar100", rate=0.2)
    assert labels.realised == 0.2 and set(np.round(labels.realised_per_class, 12)) == {0.2}
    target = draw("asym_block5_legacy", np.arange(100), 100, dataset="cifar100", rate=1.0).given
    assert target[:10].tolist() == [1, 2, 3, 4, 0, 6, 7, 8, 9, 5]
    coarse = np.array(CIFAR100_COARSE)
    assert (coarse[target] == coarse).sum() == 6
    with pytest.raises(InputError, match="a multiple of 5 classes, as CIFAR-100 has, got 12"):
        draw("asym_block5_legacy", [0, 1], 12, rate=0.5)


@pytest.mark.parametrize(
    ("dataset", "classes", "pair"), [("cifar10", 10, (3, 5)), ("cifar100", 100, (47, 52)), ("mnist5k", 10, (1, 7))]
)
def test_interclass_confusion_swaps_two_classes(draw: Draw, dataset: str, classes: int, pair: tuple[int, int]) -> None:
    clean = np.arange(20 * classes) % classes
    labels = draw("interclass_confusion", clean, classes, dataset=dataset, rate=0.25)
    expected = np.eye(classes)
    for a, b in (pair, pair[::-1]):
        expected[a, a], expected[a, b] = 0.75, 0.25
    np.testing.assert_array_equal(labels.transition, expected)


def test_interclass_confusion_of_other_classes(draw: Draw) -> None:
    confusion = NOISES.get("interclass_confusion")

    def of(classes: list[int] | None) -> NoisyLabels:
        noise = confusion.parse({"rate": 1.0, "classes": classes}, "noise")
        return make(noise, np.arange(4), NoiseContext("pets", 4), 0)

    assert of([0, 2]).given.tolist() == [2, 1, 0, 3]
    with pytest.raises(InputError, match="'pets' has no published pair"):
        of(None)
    for wrong in ([1, 1], [0, 4], [-1, 2]):
        with pytest.raises(InputError, match="two different 'classes' of 0 to 3"):
            of(wrong)


def test_a_mask_that_leaves_changed_images_out_is_refused() -> None:
    class Odd(Noise):
        name = "odd"

        def draw(self, clean: np.ndarray, context: NoiseContext, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
            return clean + 1, np.zeros(3, dtype=bool)

    with pytest.raises(VitmemError, match="a mask of 3 images that includes every changed one"):
        make(Odd(), np.zeros(3, dtype=np.int64), NoiseContext("x", 2), 0)


FROZEN = {
    "symmetric_inclusive": "acb30957affc3a1d",
    "permute": "5e3447fcb545f50c",
    "maini_offset_legacy": "36881b6fcbf85463",
    "asym_block5_legacy": "84914ab8dbe2f995",
    "interclass_confusion": "f39d321ad3031ec5",
}


@pytest.mark.parametrize("name", FROZEN)
def test_labels_are_those_they_have_always_been(draw: Draw, name: str) -> None:
    clean = np.arange(1000) % 10
    labels = draw(name, clean, dataset="cifar10", seed=7, rate=0.1)
    assert labels.sha256[:16] == FROZEN[name]
    assert draw(name, clean, dataset="cifar10", seed=8, rate=0.1).sha256 != labels.sha256

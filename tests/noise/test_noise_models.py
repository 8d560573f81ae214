"""Noise models against exact counts, chi-square tests, hand-written maps and frozen hashes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from vitmem.entries import Noise
from vitmem.errors import InputError, VitmemError
from vitmem.noise.base import NoiseContext, NoisyLabels, make
from vitmem.noise.counts import apportion
from vitmem.registry import NOISES

# fine class -> superclass of CIFAR-100, 0 to 99, a row of ten each
# fmt: off
SUPERCLASS = np.array([
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3,
    3, 14, 9, 18, 7, 11, 3, 9, 7, 11,
    6, 11, 5, 10, 7, 6, 13, 15, 3, 15,
    0, 11, 1, 10, 12, 14, 16, 9, 11, 5,
    5, 19, 8, 8, 15, 13, 14, 17, 18, 10,
    16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19,
    2, 10, 0, 1, 16, 12, 9, 13, 15, 13,
    16, 19, 2, 4, 6, 19, 5, 5, 8, 19,
    18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
])
# fmt: on


def noisy(
    name: str, clean: Any, classes: int = 10, seed: int = 0, dataset: str = "cifar10", **params: Any
) -> NoisyLabels:
    model = NOISES.get(name).parse(params, "noise")
    coarse = SUPERCLASS if dataset == "cifar100" else None
    return make(model, np.asarray(clean), NoiseContext(dataset, classes, coarse), seed)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.333, 1.0])
@pytest.mark.parametrize("name", ["symmetric", "pair"])
def test_exact_count_and_no_true_label_among_the_changed(name: str, rate: float) -> None:
    clean = np.random.default_rng(0).integers(0, 10, 1297)
    labels = noisy(name, clean, rate=rate)
    assert labels.changed.sum() == round(rate * 1297)
    np.testing.assert_array_equal(labels.changed, labels.given != clean)
    np.testing.assert_array_equal(labels.clean, clean)
    assert labels.nominal == rate and labels.realised == labels.changed.mean()


@given(n=st.integers(1, 300), classes=st.integers(2, 12), rate=st.floats(0, 1), seed=st.integers(0, 2**62))
@settings(max_examples=60, deadline=None)
def test_symmetric_for_any_size(n: int, classes: int, rate: float, seed: int) -> None:
    labels = noisy("symmetric", np.arange(n) % classes, classes, seed, rate=rate)
    assert labels.changed.sum() == round(rate * n)
    assert labels.given.min() >= 0 and labels.given.max() < classes


@pytest.mark.parametrize("name", ["symmetric", "symmetric_iid"])
def test_targets_are_uniform_over_the_other_classes(name: str) -> None:
    clean = np.arange(60_000) % 10
    labels = noisy(name, clean, seed=3, rate=0.5)
    for c in range(10):
        targets = np.bincount(labels.given[(clean == c) & labels.changed], minlength=10)
        assert targets[c] == 0
        assert chisquare(np.delete(targets, c)).pvalue > 1e-4
    # the chosen images are spread evenly over the classes
    assert chisquare(np.bincount(clean[labels.changed], minlength=10)).pvalue > 1e-4


def test_iid_rate_is_random_with_the_binomial_spread() -> None:
    clean = np.arange(2000) % 10
    realised = np.array([noisy("symmetric_iid", clean, seed=s, rate=0.1).realised for s in range(200)])
    spread = np.sqrt(0.1 * 0.9 / 2000)
    assert abs(realised.mean() - 0.1) < 4 * spread / np.sqrt(200)
    assert 0.8 * spread < realised.std() < 1.2 * spread


def test_pair_flips_the_same_share_of_every_class_to_the_next() -> None:
    clean = np.arange(1000) % 10
    labels = noisy("pair", clean, rate=0.2)
    expected = 0.8 * np.eye(10) + 0.2 * np.roll(np.eye(10), 1, axis=1)
    np.testing.assert_allclose(labels.transition, expected)


def test_rows_of_the_transition_matrix_are_true_classes() -> None:
    # cat (3) is given as dog (5) and dog as cat, but bird (2) only leaves and airplane (0) only receives
    labels = noisy("asymmetric", np.arange(1000) % 10, rate=0.3)
    assert labels.transition[2, 0] == 0.3 and labels.transition[0, 2] == 0
    np.testing.assert_allclose(labels.transition.sum(axis=1), 1)
    np.testing.assert_allclose(labels.realised_per_class, 1 - np.diagonal(labels.transition))


def test_a_class_without_images_has_the_row_of_the_identity() -> None:
    labels = noisy("symmetric", np.zeros(50, dtype=int), 3, rate=0.5)
    np.testing.assert_array_equal(labels.transition[1:], np.eye(3)[1:])
    assert labels.realised_per_class.tolist() == [0.5, 0.0, 0.0]


def test_asymmetric_map_of_cifar10() -> None:
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    pairs = [("truck", "automobile"), ("bird", "airplane"), ("deer", "horse"), ("cat", "dog"), ("dog", "cat")]
    expected = np.eye(10)
    for source, target in pairs:
        i, j = names.index(source), names.index(target)
        expected[i, i], expected[i, j] = 0.6, 0.4
    labels = noisy("asymmetric", np.arange(1000) % 10, rate=0.4)
    np.testing.assert_allclose(labels.transition, expected)
    assert labels.realised == 0.2  # 40 % of half the classes


def test_asymmetric_overall_rate() -> None:
    clean = np.arange(1000) % 10
    labels = noisy("asymmetric", clean, rate=0.1, rate_basis="overall")
    assert labels.realised == 0.1
    assert labels.realised_per_class[[2, 3, 4, 5, 9]].tolist() == pytest.approx([0.2] * 5)
    with pytest.raises(InputError, match=r"at most 0\.500"):
        noisy("asymmetric", clean, rate=0.6, rate_basis="overall")


@pytest.mark.parametrize("dataset", ["mnist5k", "digits"])
def test_asymmetric_map_of_mnist(dataset: str) -> None:
    labels = noisy("asymmetric", np.arange(1000) % 10, dataset=dataset, rate=1.0)
    assert [int(labels.given[c]) for c in range(10)] == [0, 1, 7, 8, 4, 6, 5, 1, 8, 9]


def test_asymmetric_cifar100_goes_round_each_superclass() -> None:
    clean = np.arange(2000) % 100
    labels = noisy("asymmetric", clean, 100, dataset="cifar100", rate=0.2)
    assert labels.realised == 0.2
    np.testing.assert_array_equal(SUPERCLASS[labels.given], SUPERCLASS[clean])
    target = noisy("asymmetric", np.arange(100), 100, dataset="cifar100", rate=1.0).given
    # superclass 0: beaver 4, dolphin 30, otter 55, seal 72, whale 95
    assert [int(target[c]) for c in (4, 30, 55, 72, 95)] == [30, 55, 72, 95, 4]
    assert sorted(target) == list(range(100)) and (target != np.arange(100)).all()


def test_asymmetric_without_a_map_says_so() -> None:
    with pytest.raises(InputError, match="'image_folder' has neither a known map"):
        noisy("asymmetric", [0, 1], 2, dataset="image_folder", rate=0.1)


FROZEN = {
    "symmetric": "0c7d5ba5d5c85d15",
    "symmetric_iid": "d8723598e11c1671",
    "pair": "4340159a9827b571",
    "asymmetric": "84de19a20da13aff",
}


@pytest.mark.parametrize("name", FROZEN)
def test_labels_are_those_they_have_always_been(name: str) -> None:
    clean = np.arange(1000) % 10
    labels = noisy(name, clean, seed=7, rate=0.1)
    assert labels.sha256[:16] == FROZEN[name]
    assert noisy(name, clean, seed=8, rate=0.1).sha256 != labels.sha256


def test_hash_is_that_of_two_byte_labels() -> None:
    labels = noisy("none", [0, 3, 258], 300)
    assert labels.realised == 0 and labels.nominal is None
    assert labels.sha256 == hashlib.sha256(b"\x00\x00\x03\x00\x02\x01").hexdigest()


def test_the_true_labels_are_never_written_to() -> None:
    class Scribble(Noise):
        name = "scribble"

        def draw(self, clean: np.ndarray, context: NoiseContext, rng: np.random.Generator) -> np.ndarray:
            clean[:] = 1
            return clean

    clean = np.zeros(5, dtype=np.int64)
    labels = make(Scribble(), clean, NoiseContext("x", 2), 0)
    assert clean.sum() == 0 and labels.clean.sum() == 0 and labels.realised == 1.0


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros(4, dtype=np.int64), "expected 5 of them"),
        (np.full(5, 2), "expected classes 0 to 1, got 2 to 2"),
        (np.zeros(5), "expected whole numbers"),
    ],
)
def test_a_model_that_returns_something_else_is_refused(result: np.ndarray, message: str) -> None:
    class Odd(Noise):
        name = "odd"

        def draw(self, clean: np.ndarray, context: NoiseContext, rng: np.random.Generator) -> np.ndarray:
            return result

    with pytest.raises(VitmemError, match=message):
        make(Odd(), np.zeros(5, dtype=np.int64), NoiseContext("x", 2), 0)


def test_true_labels_outside_the_classes_are_refused() -> None:
    with pytest.raises(InputError, match="expected classes 0 to 1, got 0 to 3"):
        noisy("symmetric", [0, 3], 2, rate=0.1)


@pytest.mark.parametrize("name", ["symmetric", "symmetric_iid", "pair"])
def test_one_class_cannot_be_wrong(name: str) -> None:
    with pytest.raises(InputError, match="two classes or more"):
        noisy(name, np.zeros(40, dtype=int), 1, rate=0.5)


def test_human_labels() -> None:
    human = NOISES.get("human")
    clean, given_labels = np.array([0, 1, 2, 1]), np.array([0, 2, 2, 1], dtype=np.int16)
    context = NoiseContext("cifar10", 3, extra_labels={"aggre_label": given_labels})
    labels = make(human.parse({"column": "aggre_label"}, "noise"), clean, context, 0)
    np.testing.assert_array_equal(labels.given, given_labels)
    assert labels.nominal is None and labels.realised == 0.25 and labels.transition[1, 2] == 0.5
    with pytest.raises(InputError, match="did you mean 'aggre_label'"):
        make(human.parse({"column": "agre_label"}, "noise"), clean, context, 0)
    with pytest.raises(InputError, match="came without human labels"):
        make(human.parse({"column": "x"}, "noise"), clean, NoiseContext("digits", 3), 0)
    short = NoiseContext("cifar10", 3, extra_labels={"a": given_labels[:2]})
    with pytest.raises(InputError, match="expected 4 labels in column 'a', got 2"):
        make(human.parse({"column": "a"}, "noise"), clean, short, 0)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=20), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_apportioned_counts_are_the_shares_to_within_one(sizes: list[int], rate: float) -> None:
    shares = rate * np.array(sizes, dtype=float)
    counts = apportion(shares)
    assert counts.sum() == round(round(shares.round(9).sum(), 12)) or abs(counts.sum() - shares.sum()) <= 0.5 + 1e-6
    assert (np.abs(counts - shares) < 1 + 1e-8).all() and (counts <= np.array(sizes)).all()

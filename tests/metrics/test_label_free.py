"""Measures without labels against numpy, scipy and scikit-learn, and against looking at what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from vitmem.metrics.label_free import backing, label_free, mixtures, spaced, two_components
from vitmem.metrics.predictions import Predictions


def made(seed: int, base: Predictions | None = None) -> Predictions:
    """60 training and 40 held-out images of four classes, in clouds; of an edit, the logits of a base moved."""
    draw = torch.Generator().manual_seed(seed)
    if base is not None:
        moved = [x + 2 * torch.randn(x.shape, generator=draw) for x in (base.train_logits, base.validation_logits)]
        return replace(base, train_logits=moved[0], validation_logits=moved[1])
    true, validation_true = (torch.randint(4, (n,), generator=draw) for n in (60, 40))
    given = torch.where(torch.arange(60) < 12, (true + 1) % 4, true)
    logits = [3 * torch.nn.functional.one_hot(y, 4) + torch.randn(len(y), 4, generator=draw) for y in (given, true)]
    held_out = torch.nn.functional.one_hot(validation_true, 4) + torch.randn(40, 4, generator=draw)
    return Predictions(logits[0], given, true, torch.arange(6), held_out, validation_true, torch.arange(0, 40, 2))


@pytest.fixture
def pair() -> tuple[Predictions, Predictions]:
    base = made(0)
    return made(1, base), base


def test_measures_against_numpy(pair: tuple[Predictions, Predictions]) -> None:
    found = label_free(*pair)
    after, before = (p.train_logits.double().numpy() for p in pair)
    given, n = pair[1].given.numpy(), np.arange(60)
    said = after.argmax(1)
    assert found["given_train"] == pytest.approx((said == given).mean())
    assert found["train_changed"] == pytest.approx((said != before.argmax(1)).mean())
    assert found["train_loss"] == pytest.approx(-log_softmax(after, 1)[n, given].mean())
    rise = log_softmax(before, 1)[n, given] - log_softmax(after, 1)[n, given]
    assert found["train_loss_rise"] == pytest.approx(rise.mean())
    p, q = (softmax(x.validation_logits.double().numpy()[::2], 1) for x in pair)
    assert found["held_out_confidence"] == pytest.approx(p.max(1).mean())
    assert found["held_out_balance"] == pytest.approx(entropy(np.bincount(p.argmax(1), minlength=4)) / np.log(4))
    judged = [(p[i] + q[i])[p[i].argmax()] / 2 - (p[i] + q[i])[q[i].argmax()] / 2 for i in range(20)]
    assert found["judged_change"] == pytest.approx(np.mean(judged))
    assert label_free(pair[1], pair[1])["judged_change"] == 0


def test_neighbours_against_scikit_learn(pair: tuple[Predictions, Predictions]) -> None:
    logits, given = pair[0].train_logits, pair[0].given
    near = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(logits.double().numpy())
    around = near.kneighbors(return_distance=False)  # without the image itself
    vote = np.array([np.bincount(given.numpy()[row], minlength=4).argmax() for row in around])
    said = logits.argmax(1).numpy()
    against = said != given.numpy()
    assert 0 < (against & (said == vote)).sum() < against.sum()
    found = backing(logits, given)
    assert found["knn_backed"] == pytest.approx((against & (said == vote)).mean())
    assert found["knn_unbacked"] == pytest.approx((against & (said != vote)).mean())
    assert backing(logits[:10], given[:10]) == {}


def test_two_components_are_those_of_the_sample() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 0.5, 800), rng.normal(10, 1, 200)
    found = two_components(np.concatenate([low, high]))
    assert found is not None
    share, separation = found
    assert share == pytest.approx(0.2, abs=1e-3)
    # variances are kept above 5e-4 of the squared range
    floor = 5e-4 * np.ptp(np.concatenate([low, high])) ** 2
    apart = np.sqrt(2) * (high.mean() - low.mean()) / np.sqrt(low.var() + high.var() + 2 * floor)
    assert separation == pytest.approx(apart, rel=1e-2)
    assert two_components(np.ones(9)) is None


def test_mixtures_are_of_losses_on_given_labels(pair: tuple[Predictions, Predictions]) -> None:
    found, base = mixtures(*pair), pair[1]
    after, before = (-log_softmax(p.train_logits.double().numpy(), 1)[np.arange(60), p.given.numpy()] for p in pair)
    scaled = ((after - after.min()) / np.ptp(after))[:, None]
    mixture = GaussianMixture(2, reg_covar=5e-4, random_state=0).fit(scaled)
    assert found["loss_upper_share"] == pytest.approx(mixture.weights_[mixture.means_[:, 0].argmax()])
    assert found["loss_rise_separation"] == pytest.approx(two_components(after - before)[1])  # type: ignore[index]
    assert set(mixtures(base, base)) == {"loss_upper_share"}


def test_nothing_that_is_not_known_is_read(pair: tuple[Predictions, Predictions]) -> None:
    # no true label is what it was, other images count as wrongly labelled, and the held-out labels are all 0
    shifted = (pair[0].given + 2) % 4
    unknown = {"true": shifted, "noisy_rows": torch.arange(20), "validation_true": torch.zeros(40, dtype=torch.int64)}
    blind = (replace(pair[0], **unknown), replace(pair[1], **unknown))
    assert label_free(*blind) == label_free(*pair)
    assert mixtures(*blind) == mixtures(*pair)


def test_of_many_images_evenly_spaced_ones_are_taken() -> None:
    assert spaced(10, 4).tolist() == [0, 2, 5, 7]
    assert spaced(3, 4).tolist() == [0, 1, 2]
    assert spaced(0, 4).tolist() == []

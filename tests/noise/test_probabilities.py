"""Noise from a clean network's probabilities: the formulas, the rates, and files that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from vitmem.errors import InputError
from vitmem.noise.base import NoisyLabels
from vitmem.noise.pmd import factor_for, flips

Draw = Callable[..., NoisyLabels]
Save = Callable[..., str]
COUNT = 6000
RNG = np.random.default_rng(2)
CLEAN = RNG.integers(0, 10, COUNT)
# a network that is right about five times in six, from sure to undecided
LOGITS = RNG.normal(size=(COUNT, 10)) + RNG.uniform(1, 5, (COUNT, 1)) * np.eye(10)[CLEAN]
TABLE = softmax(LOGITS, axis=1)


@pytest.fixture
def context(tmp_path: Path, save: Save) -> dict[str, Any]:
    """Return a data folder with ``clean.safetensors``, the probabilities of the images."""
    save(probabilities=TABLE.astype(np.float32))
    return {"data_dir": tmp_path}


@pytest.mark.parametrize(
    ("kind", "formula"),
    [(1, lambda d: 0.5 - 0.5 * d**2), (2, lambda d: 1 - d**3), (3, lambda d: 1 - (d + d**2 + d**3) / 3)],
)
def test_flip_probabilities_by_hand(kind: Any, formula: Callable[[float], float]) -> None:
    u, s, tau = flips(np.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]), kind)
    assert u.tolist() == [1, 0, 2] and s.tolist() == [2, 2, 0]
    assert tau.tolist() == pytest.approx([formula(0.3), formula(0.0), 0.0])


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.35, 0.7, 0.999])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_the_factor_gives_the_mean(kind: Any, rate: float) -> None:
    _, _, tau = flips(TABLE, kind)
    assert np.minimum(1, factor_for(tau, rate) * tau).mean() == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.35])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_pmd_realises_the_rate_near_the_boundary(draw: Draw, context: dict[str, Any], kind: int, rate: float) -> None:
    labels = draw("pmd", CLEAN, context=context, rate=rate, probabilities="clean.safetensors", type=kind)
    assert labels.realised == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / COUNT))
    u, s, tau = flips(TABLE.astype(np.float32).astype(float), kind)  # type: ignore[arg-type]
    changed = labels.changed
    np.testing.assert_array_equal(labels.given[changed], np.where(u == CLEAN, s, u)[changed])
    if rate:
        assert tau[changed].mean() > tau[~changed].mean() + 0.05


def test_the_legacy_form_starts_from_the_networks_label(draw: Draw, context: dict[str, Any]) -> None:
    params = {"probabilities": "clean.safetensors", "type": 2}
    labels = draw("pmd_legacy", CLEAN, context=context, factor=1.3, **params)
    u, s, tau = flips(TABLE, 2)
    assert ((labels.given == u) | (labels.given == s)).all()
    kept = (1 - tau) / 1.3
    assert (labels.given == u).mean() == pytest.approx(kept.mean(), abs=4 * 0.5 / np.sqrt(COUNT))
    assert labels.nominal is None
    # where the network is wrong, the true label comes back only as its second choice
    wrong = (u != CLEAN) & (s != CLEAN)
    assert wrong.any() and labels.changed[wrong].all()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 1.0])
def test_ambiguous_images_get_their_second_choice(draw: Draw, context: dict[str, Any], rate: float) -> None:
    labels = draw("ambiguous", CLEAN, context=context, rate=rate, probabilities="clean.safetensors")
    assert labels.changed.sum() == round(rate * COUNT)
    wrong = TABLE.astype(np.float32).copy()
    wrong[np.arange(COUNT), CLEAN] = -1
    best = wrong.max(1)
    changed = labels.changed
    np.testing.assert_array_equal(labels.given[changed], wrong.argmax(1)[changed])
    assert not changed.any() or changed.all() or best[changed].min() >= best[~changed].max()
    again = draw("ambiguous", CLEAN, seed=9, context=context, rate=rate, probabilities="clean.safetensors")
    assert again.sha256 == labels.sha256


def test_rows_are_found_by_their_index(draw: Draw, tmp_path: Path, save: Save) -> None:
    order = np.random.default_rng(3).permutation(COUNT)
    save(logits=LOGITS[order].astype(np.float32), index=order.astype(np.int64))
    rows = np.sort(np.random.default_rng(4).permutation(COUNT)[:500])
    params = {"rate": 0.2, "probabilities": "clean.safetensors"}
    part = draw("ambiguous", CLEAN[rows], context={"data_dir": tmp_path, "index": rows}, **params)
    save(probabilities=TABLE[rows].astype(np.float32))
    assert part.sha256 == draw("ambiguous", CLEAN[rows], context={"data_dir": tmp_path}, **params).sha256
    save(logits=LOGITS[:400].astype(np.float32), index=np.arange(400))
    missing = int((rows >= 400).sum())
    with pytest.raises(InputError, match=f"{missing} of 500 training images have no row, by their 'index'"):
        draw("ambiguous", CLEAN[rows], context={"data_dir": tmp_path, "index": rows}, **params)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"probabilities": TABLE[:7]}, "expected 6000 rows, one per training image, got 7"),
        ({"probabilities": TABLE[:, :9]}, "expected rows of probabilities that sum to 1"),
        ({"logits": LOGITS[:, :9]}, "expected one column per class, n x 10, got 6000 x 9"),
        ({"probabilities": 2 * TABLE}, "got 6000 that do not, row 0 sums to 2"),
        ({"probabilities": np.where(np.arange(COUNT)[:, None] == 5, np.nan, TABLE)}, "got 1 that do not, row 5"),
        ({"logits": np.full((COUNT, 10), np.inf)}, "expected rows of probabilities that sum to 1"),
        ({"probabilities": TABLE[0]}, "expected one column per class, n x 10, got 10"),
        ({"probabilities": TABLE, "index": np.arange(3)}, "expected 6000 positions in 'index', one per row, got 3"),
        ({"probabilities": np.array(1.0)}, "expected one column per class, n x 10, got one number"),
        ({"probabilities": TABLE[:0], "index": np.arange(0)}, "expected one row per image, got a file without rows"),
        ({"given": TABLE}, "expected 'probabilities' or 'logits', got given"),
    ],
)
def test_a_file_that_does_not_fit(draw: Draw, tmp_path: Path, save: Save, arrays: dict[str, Any], says: str) -> None:
    save(**arrays)
    context = {"data_dir": tmp_path, "index": np.arange(COUNT)}
    for name in ("pmd", "ambiguous"):
        with pytest.raises(InputError) as caught:
            draw(name, CLEAN, context=context, rate=0.1, probabilities="clean.safetensors")
        assert says in str(caught.value) and "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"noise '{name}': {tmp_path}")


def test_no_file_or_a_torn_one(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.safetensors: no such file; give one inside --data-dir"):
        draw("pmd", CLEAN, rate=0.1, probabilities="nowhere.safetensors")
    torn = tmp_path / "torn.safetensors"
    # a type that numpy has not: the header of one number in float8
    header = b'{"probabilities":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    for content in (b"", b"no tensors at all", len(header).to_bytes(8, "little") + header + b"0"):
        torn.write_bytes(content)
        with pytest.raises(InputError, match="not a readable safetensors file"):
            draw("pmd", CLEAN, rate=0.1, probabilities=str(torn))


def test_a_sure_network_reaches_no_high_rate(draw: Draw, tmp_path: Path, save: Save) -> None:
    sure = np.where(np.arange(COUNT)[:, None] < 600, TABLE, np.eye(10)[CLEAN])
    save(probabilities=sure)
    params = {"context": {"data_dir": tmp_path}, "probabilities": "clean.safetensors"}
    assert draw("pmd", CLEAN, rate=0.1, **params).changed.sum() == 600
    with pytest.raises(InputError, match=r"at most 0\.1000, got 0\.2: the probabilities of the other images"):
        draw("pmd", CLEAN, rate=0.2, **params)


FROZEN = {"pmd": "1b941c25d7b49490", "pmd_legacy": "e6b057f81f7ed47d", "ambiguous": "529b923c0bba5788"}


@pytest.mark.parametrize("name", FROZEN)
def test_labels_are_those_they_have_always_been(draw: Draw, context: dict[str, Any], name: str) -> None:
    strength = {"factor": 1.43} if name == "pmd_legacy" else {"rate": 0.1}
    labels = draw(name, CLEAN, seed=7, context=context, probabilities="clean.safetensors", **strength)
    assert labels.sha256[:16] == FROZEN[name]

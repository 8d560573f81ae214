"""CIFAR and Imagenette as they are: counts, superclasses, and the published rates of human and noisy labels."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from vitmem.data.cifar import CIFAR100_COARSE
from vitmem.data.load import load_data
from vitmem.data.noisy import add_noise
from vitmem.data.sets import ImageData
from vitmem.registry import DATA, NOISES

REAL = Path(os.environ.get("VITMEM_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
needs_real = pytest.mark.skipif(
    not (REAL / "cifar10" / "train.parquet").exists(), reason=f"no CIFAR in {REAL}; set VITMEM_DATA_DIR"
)
CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load(name: str, cache: Path, folder: Path | None = None, **options: Any) -> ImageData:
    counts = {key: options.pop(key, None) for key in ("train", "validation")}
    seed = options.pop("seed", 0)
    return load_data(DATA.get(name).parse(options, "data"), folder, cache, **counts, seed=seed)


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded")


HUMAN_RATES = [
    ("aggre_label", 0.0901),
    ("random_label1", 0.1723),
    ("random_label2", 0.1812),
    ("random_label3", 0.1764),
    ("worse_label", 0.4021),
]


@needs_real
def test_real_cifar10(real_cache: Path) -> None:
    data = load("cifar10", real_cache, REAL)
    assert data.train.images.shape == (50_000, 3, 32, 32) and len(data.validation) == 10_000
    assert data.classes == tuple(CIFAR10_CLASSES) and data.coarse is None
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    # the channel means that everybody uses for CIFAR-10, to what one pass of JPEG changes
    assert data.mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-4)
    entry = NOISES.get("human")
    for column, rate in HUMAN_RATES:
        noisy = add_noise(data, entry.parse({"column": column}, "noise"), 0)
        assert noisy.labels.realised == pytest.approx(rate, abs=5e-5)
    part = load("cifar10", real_cache, REAL, train=5000)
    npz = np.load(REAL / "cifar10" / "cifar10n.npz")
    assert np.array_equal(part.train.extra_labels["worse_label"], npz["worse_label"][part.train.index.numpy()])


@needs_real
def test_real_cifar100(real_cache: Path) -> None:
    data = load("cifar100", real_cache, REAL)
    table = pq.read_table(REAL / "cifar100" / "test.parquet", columns=["fine_label", "coarse_label"])
    fine, coarse = (np.array(table.column(c)) for c in ("fine_label", "coarse_label"))
    assert np.array_equal(np.array(CIFAR100_COARSE)[fine], coarse)
    assert data.coarse is not None and data.coarse.tolist() == list(CIFAR100_COARSE)
    assert data.num_classes == 100 and data.classes[:3] == ("apple", "aquarium_fish", "baby")
    assert set(data.train.extra_labels) == {"human_label", "noisy_label"}  # no superclass columns
    noisy = add_noise(data, NOISES.get("human").parse({"column": "human_label"}, "noise"), 0)
    assert noisy.labels.realised == pytest.approx(0.4020, abs=5e-5)
    flipped = add_noise(data, NOISES.get("asymmetric").parse({"rate": 0.1}, "noise"), 0)
    assert torch.equal(torch.from_numpy(data.coarse)[flipped.given], torch.from_numpy(data.coarse)[flipped.true])
    assert flipped.labels.realised == 0.1
    superclasses = load("cifar100", real_cache, REAL, labels="coarse")
    told = json.loads(pq.read_schema(REAL / "cifar100" / "test.parquet").metadata[b"huggingface"])
    assert list(superclasses.classes) == told["info"]["features"]["coarse_label"]["names"]
    assert superclasses.validation.labels.tolist() == coarse.tolist() and superclasses.coarse is None
    assert torch.equal(superclasses.train.images, data.train.images) and superclasses.train.extra_labels == {}


@pytest.mark.skipif(not (REAL / "imagenette64").exists(), reason=f"no Imagenette in {REAL}; set VITMEM_DATA_DIR")
def test_real_imagenette_has_noisy_labels_of_its_own(real_cache: Path) -> None:
    pictures = DATA.get("image_folder").parse({"folder": "imagenette64", "size": 64}, "data")
    data = load_data(pictures, REAL, real_cache)
    for percent, rate in ((1, 0.01), (5, 0.05), (25, 0.25), (50, 0.5)):
        column = NOISES.get("column").parse({"column": f"noisy_{percent}"}, "noise")
        assert add_noise(data, column, 0).labels.realised == pytest.approx(rate, abs=2e-4)

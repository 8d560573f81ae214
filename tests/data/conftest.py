"""The folder of real data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL = Path(os.environ.get("VITMEM_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder with the parquet files of CIFAR and Imagenette, or skip the test."""
    if not (REAL / "imagenette64" / "train.parquet").exists():
        pytest.skip(f"no Imagenette in {REAL}; set VITMEM_DATA_DIR")
    return REAL

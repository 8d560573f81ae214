"""A training on one device is the same whatever cluster the environment tells of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.recipe import Recipe
from vitmem.training.fit import train

# Lightning reads its rank when it is imported, so each training has a process of its own.
PROGRAM = """
import sys
from pathlib import Path
from vitmem.data.load import load_data
from vitmem.data.noisy import add_noise
from vitmem.models.base import ImageShape, build
from vitmem.registry import DATA, MODELS, NOISES
from vitmem.recipe import Recipe
from vitmem.training.fit import train

folder = Path(sys.argv[1])
data = load_data(DATA.get("digits").parse({}, "data"), None, folder, train=60, validation=20, seed=0)
noisy = add_noise(data, NOISES.get("symmetric").parse({"rate": 0.2}, "noise"), seed=0)
params = MODELS.get("vit").parse({"patch_size": 4, "width": 8, "depth": 1, "heads": 2}, "model")
recipe = Recipe(epochs=1, batch_size=30, precision="32")
train(build(params, ImageShape(1, 8, 10), 1), noisy, recipe, 0, folder, device="cpu")
"""
CLUSTERS = {
    "none": {},
    "slurm": {
        "SLURM_NTASKS": "4", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "2", "SLURM_LOCALID": "2",
        "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "n[1-2]",
    },
    "torchrun": {
        "TORCHELASTIC_RUN_ID": "1", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "GROUP_RANK": "0",
        "MASTER_ADDR": "localhost", "MASTER_PORT": "1",
    },
    "mpi": {
        "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "PMI_RANK": "1",
        "LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_RANK": "1",
    },
}  # fmt: skip


def trained(folder: Path, cluster: str) -> dict[str, bytes]:
    """Return the files that a training leaves, those without times in them, by name."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], env={**os.environ, **CLUSTERS[cluster]}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()[-600:]
    return {
        path.relative_to(folder).as_posix(): b"" if "tfevents" in path.name else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".csv", ".safetensors", ".yaml")
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return trained(tmp_path_factory.mktemp("environment") / "none", "none")


@pytest.mark.parametrize("cluster", ["slurm", "torchrun", "mpi"])
def test_the_environment_of_a_cluster_changes_nothing(cluster: str, plain: dict[str, bytes], tmp_path: Path) -> None:
    assert "logs/version_0/metrics.csv" in plain and "model.safetensors" in plain
    assert trained(tmp_path / cluster, cluster) == plain


@pytest.mark.parametrize("name", ["PL_TRAINER_LIMIT_TRAIN_BATCHES", "PL_TRAINER_FAST_DEV_RUN"])
def test_options_of_a_trainer_in_the_environment_are_refused(
    name: str, noisy: NoisyImages, new_model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(InputError, match=f"{name} would change the training unseen; unset it"):
        train(new_model(), noisy, Recipe(epochs=1), 0, tmp_path)  # type: ignore[operator]

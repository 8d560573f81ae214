"""A network with published weights reads images as these do; any other one by the channel statistics of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from torch import nn
from torch.nn.utils import parametrizations

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.preflight import check_cells
from vitmem.bench.stages import open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, Preprocessing, VisionModel
from vitmem.protocols.image import image_experiment
from vitmem.registry import MODELS

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())


def planned(folder: Path, model: dict[str, Any]) -> tuple[Any, Places]:
    suite = folder / "tiny.yaml"
    suite.write_text(yaml.safe_dump({**TINY, "model": model}))
    plan = make_plan(load_suite(suite), suite)
    return plan, Places(Store(folder / "store"), None, folder / "cache", "cpu")


def test_published_weights_read_images_their_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def without_download(name: str, **options: Any) -> nn.Module:
        return create(name, **{**options, "pretrained": False})

    monkeypatch.setattr(timm, "create_model", without_download)
    seen = {}
    for pretrained in (True, False):
        name = {"name": "timm/test_vit", "image_size": 32, "pretrained": pretrained}
        plan, places = planned(tmp_path, name)
        seen[pretrained] = image_experiment(plan.cells[0].training, places).noisy
    own, theirs = seen[False], seen[True]
    half = torch.full((own.data.channels,), 0.5)
    assert torch.equal(theirs.data.mean, half) and not torch.equal(own.data.mean, half)
    assert torch.equal(theirs.data.std, half)
    assert torch.equal(own.given, theirs.given) and own.data.fingerprint == theirs.data.fingerprint


def test_one_channel_has_the_average() -> None:
    mean, std = Preprocessing(224, (0.2, 0.4, 0.6), (0.1, 0.2, 0.3)).of(1)
    assert mean.tolist() == pytest.approx([0.4]) and std.tolist() == pytest.approx([0.2])


def test_a_suite_refuses_a_computed_weight_before_it_trains(tmp_path: Path) -> None:
    @MODELS.register("weight_normed")
    def weight_normed(shape: ImageShape) -> VisionModel:
        """A network whose weight is computed."""
        pixels = shape.channels * shape.size**2
        hidden = nn.Sequential(parametrizations.weight_norm(nn.Linear(pixels, 8)), nn.GELU())
        return VisionModel(nn.Sequential(nn.Flatten(), hidden, nn.Linear(8, shape.num_classes)), ("1",), ("0",))

    try:
        plan, places = planned(tmp_path, {"name": "weight_normed"})
        session = open_session(plan.cells[0].training, places)
        with pytest.raises(InputError, match=r"layer '1\.0': its weight is computed by a parametrization"):
            check_cells(session, plan.cells)
    finally:
        MODELS.discard("weight_normed")

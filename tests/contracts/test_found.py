"""``vitmem check model`` says which blocks and layers it found, their shapes, positions and share."""

from __future__ import annotations

from typing import Any

import pytest

from vitmem.contracts.model import check_model

VIT = {"patch_size": 8, "width": 12, "depth": 3, "heads": 3, "mlp_ratio": 2.0}


@pytest.mark.parametrize(
    ("name", "params", "lines"),
    [
        (
            "vit",
            VIT,
            [
                "3 blocks",
                "blocks.0 to blocks.2 (3): mlp.fc1 24 x 12 at 17, mlp.fc2 12 x 24 at 17",
                "of the positions the class token counts",
            ],
        ),
        ("timm/test_resnet", {}, ["4 blocks", "layer1.0: conv1 32 x 288 at 64", "%) can be edited"]),
    ],
)
def test_what_was_found(name: str, params: dict[str, Any], lines: list[str]) -> None:
    check = next(one for one in check_model(name, params) if one.name == "blocks and layers")
    assert check.ok
    for line in lines:
        assert line in check.detail
    assert check.detail.count("\n") <= 5

"""Shared by all tests: slow ones are skipped, saying so, unless they are asked for with ``--slow``."""

from __future__ import annotations

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skips = {
        "slow": (not config.getoption("--slow"), "slow: run with --slow"),
        "gpu": (not torch.cuda.is_available(), "gpu: needs a CUDA device"),
        "network": (not config.getoption("--slow"), "network: run with --slow"),
    }
    for item in items:
        for marker, (skip, reason) in skips.items():
            if marker in item.keywords and skip:
                item.add_marker(pytest.mark.skip(reason=reason))

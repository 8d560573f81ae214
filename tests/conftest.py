"""Shared by all tests: slow ones are skipped, saying so, unless they are asked for with ``--slow``."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

# A busy machine is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

SMALL: dict[str, Any] = {
    "vocab_size": 23, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 16,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT2 = {"vocab_size": 23, "n_embd": 8, "n_inner": 12, "n_layer": 3, "n_head": 2, "n_positions": 16}
OWN: dict[str, dict[str, Any]] = {
    "Gemma": {"head_dim": 4}, "Gemma2": {"head_dim": 4}, "Gemma3Text": {"head_dim": 4},
    "OPT": {"ffn_dim": 12, "word_embed_proj_dim": 8},
}  # fmt: skip


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


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave the log as a library has it: a verb that a test calls writes it to stderr from then on."""
    logger = logging.getLogger("vitmem")
    before, level = logger.handlers.copy(), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """A function that makes a language model of transformers: random weights in float64, in eval mode."""
    transformers = importlib.import_module("transformers")  # only the tests that ask for a model pay for it

    def make(kind: str, **changes: Any) -> Any:
        options = GPT2 if kind == "GPT2" else {**SMALL, **OWN.get(kind, {}), **changes}
        config = getattr(transformers, f"{kind}Config")(**options)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return transformers.AutoModelForCausalLM.from_config(config).double().eval()

    return make

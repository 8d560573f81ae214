"""Settings for the statistics of a language model, and those of a paper by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitmem.blocks import Blocks
from vitmem.kfac.labels import LabelMode
from vitmem.language.models.language_layers import Role


@dataclass(frozen=True)
class FitSettings:
    """The captured matrices of a model, and the amount of text.

    ``blocks`` and ``roles`` select the matrices, ``tokens`` is the maximum number read (``None``: all), in rows of
    ``length`` and batches of ``batch`` rows; ``dtype`` is the model's; ``labels`` and ``seed`` as in ``kfac.fit``.
    """

    blocks: Blocks
    roles: tuple[Role, ...] = ("gate", "up", "gate_up")
    tokens: int | None = None
    length: int = 512
    batch: int = 8
    dtype: str = "bfloat16"
    labels: LabelMode = "sampled"
    seed: int = 0


@dataclass(frozen=True)
class Preset:
    """A paper's settings: the model's name on the Hub, the sizes in its config, and the mass of the edit."""

    about: str
    source: str
    config: Mapping[str, Any]
    settings: FitSettings
    mass: float


PRESETS = {
    "merullo2025-olmo2-7b": Preset(
        about="Merullo et al. 2025 (arXiv 2510.24256): about 100 MB of Dolmino, gate and up of three blocks",
        source="allenai/OLMo-2-1124-7B",
        config={
            "model_type": "olmo2",
            "vocab_size": 100352,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        settings=FitSettings(blocks=(23, 24, 25), roles=("gate", "up"), tokens=20_000_000, batch=32),
        mass=0.6,
    )
}

"""The parameters of the built-in entries: what a suite may say of each, and within what bounds. No torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from vitmem.contents import File, Source
from vitmem.specs import Spec


class NoParams(Spec):
    """An entry without parameters."""


class Cifar100Params(Spec):
    """The labels of CIFAR-100: the 20 superclasses with ``coarse``, the 100 classes if ``None``."""

    labels: Literal["coarse"] | None = None


class VitParams(Spec):
    """A vision transformer by size; ``pool`` is the class token or the mean over patches."""

    patch_size: int = Field(default=8, gt=0)
    width: int = Field(default=192, gt=0)
    depth: int = Field(default=6, gt=0)
    heads: int = Field(default=3, gt=0)
    mlp_ratio: float = Field(default=4.0, gt=0)
    pool: Literal["token", "mean"] = "token"
    dropout: float = Field(default=0.0, ge=0, lt=1)


class MixerParams(Spec):
    """An MLP-Mixer by size; ``mlp_ratio`` is that of the channel MLPs, 4 if ``None``."""

    patch_size: int = Field(default=8, gt=0)
    width: int = Field(default=192, gt=0)
    depth: int = Field(default=6, gt=0)
    mlp_ratio: float | None = Field(default=None, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class ResidualMlpParams(Spec):
    """Residual MLPs on patches of ``patch_size`` pixels (``None``: the whole image) after mean pooling by ``pool``."""

    pool: int = Field(default=1, gt=0)
    patch_size: int | None = Field(default=None, gt=0)
    width: int = Field(default=256, gt=0)
    hidden: int = Field(default=512, gt=0)
    depth: int = Field(default=2, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class EditedPlaces(Spec):
    """Patterns of module paths: the ``blocks``, and the ``layers`` in each that are edited; ``None``: by structure."""

    blocks: tuple[str, ...] | None = Field(default=None, min_length=1)
    layers: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("blocks", "layers", mode="before")
    @classmethod
    def list_one_pattern(cls, value: Any) -> Any:
        """Return a list of one pattern for a pattern that stands alone."""
        return (value,) if isinstance(value, str) else value


class TimmParams(EditedPlaces):
    """Any timm architecture; ``image_size`` is ``None`` for the size of the data.

    ``arguments`` are further ones of ``timm.create_model``, such as ``{depth: 4}``.
    """

    image_size: int | None = Field(default=None, gt=0)
    pretrained: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    arguments: dict[str, Any] | None = None


class TorchvisionParams(EditedPlaces):
    """Any classifier of torchvision; ``arguments`` are further ones of ``torchvision.models.get_model``."""

    arguments: dict[str, Any] | None = None


class FolderParams(Spec):
    """Images by class in ``<data-dir>/<folder>``: ``train/<class>/*`` and ``val/<class>/*``, ``size`` pixels."""

    folder: str
    classes: tuple[str, ...] | None = None
    size: int = Field(default=224, gt=0)


class LlamaParams(Spec):
    """A Llama by size; ``mlp_width`` is that of its gated MLPs."""

    width: int = Field(default=128, gt=0)
    depth: int = Field(default=4, gt=0)
    heads: int = Field(default=4, gt=0)
    mlp_width: int = Field(default=352, gt=0)


class PretrainedParams(Spec):
    """Where a trained language model comes from, its GGUF file if it is one, and which MLP matrices are edited.

    ``dtype`` is that of the weights, of everything that is computed with them and of what an edit leaves.
    """

    source: Source
    gguf: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    roles: tuple[Literal["gate", "up", "gate_up", "down"], ...] = ("gate", "up")


class PassagesParams(Spec):
    """``<data-dir>/<folder>`` with ``famous_passages.jsonl`` and ``corpus.parquet``."""

    folder: str = "text"


class MemorizedParams(Spec):
    """A file of windows inside the data folder or anywhere, ``<folder>/corpus.parquet`` beside it.

    ``min_distinct`` drops windows of fewer different tokens in the suffix.
    """

    file: File
    folder: str = "text"
    min_distinct: int | None = Field(default=None, gt=0)


class PlantedParams(Spec):
    """``windows`` of so many tokens, told ``repeats`` times each; ``<data-dir>/<folder>/corpus.parquet`` has books."""

    folder: str = "text"
    windows: int = Field(default=40, gt=1)
    prefix: int = Field(default=32, gt=1)
    suffix: int = Field(default=32, gt=1)
    repeats: int = Field(default=20, gt=0)


class SpectrumParams(Spec):
    """How many rows, strings, facts and questions of the synthetic language."""

    background: int = Field(default=600, gt=0)
    arithmetic: int = Field(default=600, gt=0)
    open_book: int = Field(default=1200, gt=0)
    rule: int = Field(default=600, gt=0)
    logic: int = Field(default=600, gt=0)
    strings: int = Field(default=160, gt=1)
    string_rows: int = Field(default=1600, gt=0)
    facts: int = Field(default=120, gt=2)
    most_frequent: int = Field(default=600, gt=0)
    asked: int = Field(default=300, gt=0)
    held_out: int = Field(default=400, gt=1)

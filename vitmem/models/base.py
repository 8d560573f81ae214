"""The plug-in contract: the description of a network needed to train, edit and measure it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from vitmem import kfac as engine
from vitmem.blocks import Blocks, block_numbers, layer_patterns
from vitmem.entries import Model
from vitmem.errors import InputError, one_line
from vitmem.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ImageShape:
    """Input and output of a network: images (``channels``, ``size``, ``size``) in ``num_classes`` classes."""

    channels: int
    size: int
    num_classes: int


@dataclass(frozen=True)
class Preprocessing:
    """Image preprocessing of a published network: height and width in pixels, and ``mean`` and ``std`` (white is 1)."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def of(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return ``mean`` and ``std`` (channels,); their averages if published for another number of channels."""
        statistics = []
        for values in (self.mean, self.std):
            fit = values if len(values) == channels else [sum(values) / len(values)] * channels
            statistics.append(torch.tensor(fit))
        return statistics[0], statistics[1]


@dataclass
class Network:
    """A network and its editable layers.

    ``blocks`` are the module paths of its blocks in order; ``layers`` are patterns of the editable layers inside a
    block. If blocks differ, ``layers_of`` has the patterns of each block, one tuple each, and ``layers`` all of them.
    An empty pattern is the block itself.
    """

    net: torch.nn.Module
    blocks: tuple[str, ...]
    layers: tuple[str, ...]
    layers_of: tuple[tuple[str, ...], ...] | None = field(default=None, kw_only=True)

    def editable(self, blocks: Blocks, layers: Sequence[str] | None = None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``: the name of a set, a number, or numbers.

        Raises InputError for a number without a block.
        """
        if layers or self.layers_of is None:
            return layer_patterns(self.blocks, layers or self.layers, blocks)
        numbers = block_numbers(blocks, len(self.blocks))
        return [pattern for n in numbers for pattern in layer_patterns(self.blocks, self.layers_of[n], [n])]


@dataclass
class VisionModel(Network):
    """An image classifier: ``net`` maps normalised images (B, C, H, W) float32 to logits (B, K).

    ``positions`` is the default choice of tokens for the statistics, and ``prefix_tokens`` the number of tokens (class
    token, registers) before the patches. ``reads`` is the normalisation of the images, ``None`` for the channel
    statistics of the data; ``tokens`` is the number of patches of an image, if known.
    """

    positions: Literal["cls", "all"] = "all"
    prefix_tokens: int = 0
    reads: Preprocessing | None = None
    tokens: int | None = None


N = TypeVar("N", bound=Network)


def architecture_of(name: str) -> str | None:
    """Return the architecture in the name of a family's model: ``resnet18`` of ``timm/resnet18``."""
    return name.partition("/")[2] or None


def build(model: Model, shape: ImageShape, seed: int, architecture: str | None = None) -> VisionModel:
    """Build the image model ``model`` with weights drawn from ``seed``; global generators are unchanged.

    ``architecture`` is that of a family. Raises InputError when the parameters do not fit the images or the result
    violates the contract.
    """
    return build_as(VisionModel, model, shape, seed, architecture)


def build_as(expected: type[N], model: Model, shape: object, seed: int, architecture: str | None = None) -> N:
    """Build ``model``, expected to return an ``expected``, for a shape of its kind of data; see ``build``."""
    name = f"{model.name}/{architecture}" if architecture else model.name
    with torch.random.fork_rng(devices=[]):
        # only the CPU's generator: torch.manual_seed would also reseed those of the GPUs permanently
        torch.default_generator.manual_seed(seed)
        built = model.build(shape, architecture or "") if model.family else model.build(shape)
    if not isinstance(built, expected):
        raise InputError(f"model '{name}': expected it to return a {expected.__name__}, got {type(built).__name__}")
    if not built.blocks:
        raise InputError(f"model '{name}': it names no blocks, so there is nothing to edit; set 'blocks'")
    return built


def check_forward(net: torch.nn.Module, name: str, shape: ImageShape) -> None:
    """Raise InputError unless ``net``, the model ``name``, maps two images of ``shape`` to logits (2, K).

    It is called in eval mode on the device and in the dtype of its first parameter; global generators are unchanged.
    """
    like = next(net.parameters())
    images = torch.zeros(2, shape.channels, shape.size, shape.size, device=like.device)
    size = f"({', '.join(map(str, images.shape))})"
    devices = [like.device] if like.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad(), engine.eval_mode(net):
            logits = net(images.to(like.dtype) if like.is_floating_point() else images)
    except Exception as error:  # user code may raise anything
        raise InputError(
            f"model '{name}': its forward pass fails on images {size}: {type(error).__name__}: {one_line(error, 200)}"
        ) from error
    expected = (2, shape.num_classes)
    got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
    if got != expected:
        raise InputError(f"model '{name}': expected logits {expected} of images {size}, got {got}")

"""A layer whose output is not its weight times its input is refused, and nothing of it is changed by asking."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from vitmem.errors import InputError
from vitmem.kfac import find_layers
from vitmem.kfac.computed import check_weight_is_used


class Doubled(nn.Module):
    """A parametrization of one's own."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


class MergedOnTheFly(nn.Linear):
    """A linear layer that adds to its weight in every pass."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.low, self.high = nn.Parameter(torch.randn(2, inputs)), nn.Parameter(torch.randn(outputs, 2))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight + self.high @ self.low, self.bias)


class Cosine(nn.Linear):
    """A linear layer that divides by the length of its rows."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, functional.normalize(self.weight), self.bias)


class Told(nn.Linear):
    """A linear layer that wants more than its input."""

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return scale * super().forward(x)


class Adapted(nn.Module):
    """A layer with an adapter beside it, called as those of peft are."""

    def __init__(self, name: str) -> None:
        super().__init__()
        setattr(self, name, nn.Linear(6, 4))
        self.lora_A, self.lora_B = nn.Linear(6, 2, bias=False), nn.Linear(2, 4, bias=False)


def hooked() -> nn.Module:
    layer = nn.Linear(6, 4)
    layer.register_forward_hook(lambda _layer, args, output: output + args[0].sum())
    return layer


def parametrized() -> nn.Module:
    layer = nn.Linear(6, 4)
    parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


def pruned() -> nn.Module:
    return prune.l1_unstructured(nn.Linear(6, 4), "weight", amount=0.5)


CASES: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(6, 4)), "layer", r"parametrization \(WeightNorm\)"),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Conv2d(3, 4, 1)), "layer", r"\(SpectralNorm\)"),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(6, 4)), "layer", "computed by a parametrization"),
    "one of one's own": (parametrized, "layer", r"parametrization \(Doubled\)"),
    "old weight norm": (lambda: weight_norm(nn.Linear(6, 4)), "layer", "computed from weight_g, weight_v"),
    "old spectral norm": (lambda: spectral_norm(nn.Linear(6, 4)), "layer", "computed from weight_orig"),
    "pruned": (pruned, "layer", "computed from weight_orig, weight_mask"),
    "merged on the fly": (lambda: MergedOnTheFly(6, 4), "layer", "its output is not its weight times its input"),
    "normalised rows": (lambda: Cosine(6, 4), "layer", "its output is not its weight times its input"),
    "a hook that adds": (hooked, "layer", "its output is not its weight times its input"),
    "more than an input": (lambda: Told(6, 4), "layer", "cannot be called with the input of a Told"),
    "an adapter's base": (lambda: Adapted("base_layer"), "layer.base_layer", "adapter that is not merged"),
    "beside an adapter": (lambda: Adapted("linear"), "layer.linear", r"\(lora_A, lora_B\) adds to its output"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_a_weight_that_is_computed_is_refused(case: str) -> None:
    make, path, message = CASES[case]
    torch.manual_seed(0)
    model = nn.ModuleDict({"layer": make(), "plain": nn.Linear(6, 4)}).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError, match=f"^layer '{path}': .*{message}.*, so the network would not compute"):
        find_layers(model, ["plain", path])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Linear(300, 40),
        lambda: nn.Linear(1, 1, bias=False),
        lambda: nn.Conv2d(3, 5, 3, padding=1, dilation=2, padding_mode="reflect"),
        lambda: nn.Conv2d(3, 5, 2, stride=2, padding="valid", bias=False),
        lambda: nn.Conv2d(8, 4, (1, 3), padding="same"),
    ],
)
def test_plain_layers_pass_and_keep_their_bits(layer: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(layer()).to(dtype).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    assert list(find_layers(model, ["0"])) == ["0"]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model[0].training and torch.equal(generator, torch.get_rng_state())


def test_a_layer_of_zeros_and_a_frozen_one_pass() -> None:
    model = nn.Sequential(nn.Linear(5, 3)).requires_grad_(False)
    nn.init.zeros_(model[0].weight)
    assert list(find_layers(model, ["0"])) == ["0"] and not model[0].weight.any()


def test_the_conv1d_of_transformers_passes() -> None:
    layers = pytest.importorskip("transformers.pytorch_utils")
    model = nn.Sequential(layers.Conv1D(4, 6))
    before = model[0].weight.clone()
    assert list(find_layers(model, ["0"])) == ["0"] and torch.equal(model[0].weight, before)


def test_without_values_the_surroundings_tell() -> None:
    with torch.device("meta"):
        model = nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 4)))
    with pytest.raises(InputError, match="WeightNorm"):
        check_weight_is_used(model, "0")

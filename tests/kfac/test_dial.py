"""Both versions of a layer: dense algebra in float64, ranks that are known, and the model as it was afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from vitmem.errors import InputError
from vitmem.kfac import Dial, complement, edited, weight_matrix

P, Q, FEW = 24, 40, 3


def rotated(rows: int, columns: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return W and the W' that keeps so many rows and columns of its coordinates in two random bases."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(P, Q, generator=generator, dtype=torch.float64).to(dtype)
    output, inner = (torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0] for n in (P, Q))
    mask = torch.zeros(P, Q, dtype=torch.float64)
    mask[:rows, :columns] = 1
    return weight, (output @ ((output.T @ weight.double() @ inner) * mask) @ inner.T).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    ("rows", "columns", "of", "rank"),
    [(FEW, Q, "kept", FEW), (P, FEW, "kept", FEW), (P - FEW, Q, "removed", FEW), (P // 2, Q // 2, "kept", P // 2)],
)
def test_the_smaller_complement(rows: int, columns: int, of: str, rank: int, dtype: torch.dtype) -> None:
    weight, new = rotated(rows, columns, dtype)
    one = complement(weight, new)
    size = weight.element_size()
    assert one.of == of
    if dtype == torch.bfloat16:  # its rounding may hide the smallest of them
        assert one.rank is not None and one.rank <= rank
    else:
        assert one.rank == rank
    assert one.bytes == (P + Q) * (one.rank or 0) * size < P * Q * size
    scale = max(torch.finfo(dtype).eps, 1e-13) * float(weight.double().norm())
    for t in (0.0, 0.3, 1.0):
        expected = t * weight.double() + (1 - t) * new.double()
        assert float((one.at(weight, t).double() - expected).norm()) < 4 * scale
    assert torch.equal(one.at(weight, 1.0), weight)


def test_where_no_product_is_smaller() -> None:
    weight = rotated(P, Q, torch.float32)[0]
    new = torch.where(weight.abs() > 1, weight, 0)
    one = complement(weight, new)
    assert (one.of, one.rank, one.bytes) == ("kept", None, P * Q * 4)
    assert torch.equal(one.at(weight, 0.0), new)
    nothing = complement(weight, torch.zeros_like(weight))
    assert nothing.bytes == 0 and not nothing.at(weight, 0.0).any()


@pytest.mark.parametrize("kind", ["linear", "convolution", "conv1d", "attention"])
@pytest.mark.parametrize("rows", [FEW, P - FEW, P])
def test_a_model_turns_and_is_left_as_it_was(kind: str, rows: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "attention":  # whose out_proj is read, not called
            model: nn.Module = nn.MultiheadAttention(P, 4, batch_first=True).double().eval()
            path, inputs = "out_proj", torch.randn(2, 5, P, dtype=torch.float64)
        else:
            layer = {
                "linear": lambda: nn.Linear(Q, P),
                "convolution": lambda: nn.Conv2d(10, P, 2, stride=2),
                "conv1d": lambda: Conv1D(P, Q),
            }[kind]()
            model, path = nn.Sequential(layer).double().eval(), "0"
            inputs = torch.randn(3, 10, 6, 6) if kind == "convolution" else torch.randn(3, Q)

    def run() -> Tensor:
        x = inputs.double()
        with torch.no_grad():
            return model(x, x, x)[0] if kind == "attention" else model(x)

    weight = weight_matrix(model.get_submodule(path)).clone()
    new = weight.clone()
    new[rows:] = 0
    state, before = {k: v.clone() for k, v in model.state_dict().items()}, run()
    dial = Dial(model, {path: complement(weight, new)})
    assert dial.t == 1 and torch.equal(run(), before)
    for t in (0.0, 0.25, 1.0):
        dial.turn(t)
        found = run()
        dial.turn(1)
        dial.remove()
        with edited(model, {path: t * weight + (1 - t) * new}):
            assert torch.allclose(found, run(), rtol=1e-12, atol=1e-12)
        dial = Dial(model, {path: complement(weight, new)})
    dial.turn(0.5)
    assert dial.t == 0.5
    dial.remove()
    after = model.state_dict()
    assert after.keys() == state.keys() and all(torch.equal(after[k], v) for k, v in state.items())
    assert torch.equal(run(), before)


def test_what_does_not_fit() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    one = complement(torch.ones(3, 4), torch.zeros(3, 4))
    for path, other, says in (
        ("2", one, "no such module"),
        ("1", one, "expected a linear layer or a convolution, got ReLU"),
        ("0", complement(torch.ones(2, 4), torch.zeros(2, 4)), r"expected a weight \(2, 4\), got \(3, 4\)"),
    ):
        with pytest.raises(InputError, match=says):
            Dial(model, {path: other})
    dial = Dial(model, {"0": one})
    with pytest.raises(InputError, match=r"from 0 \(edited\) to 1 \(as it was\), got 1.5"):
        dial.turn(1.5)

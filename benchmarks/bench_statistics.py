"""What the statistics cost beside the plain pass they ride on: asserts three ratios measured in one run.

All fc1 and fc2 of a ViT (width 192, 6 blocks, 65 tokens). The floor is a forward and backward pass of the
same batches with frozen weights. Rounds are interleaved; ratios are medians over rounds.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import torch
from curvlinops import KFACLinearOperator
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from vitmem.adapters.vision import VisionTask
from vitmem.kfac import find_layers, fit

BATCHES, BATCH_SIZE, ROUNDS = 2, 64, 5


def floor(net: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
    """Forward and backward through the activations of all blocks; no weight has a gradient."""
    for images, given in batches:
        start = images.clone().requires_grad_()
        functional.cross_entropy(net(start), given, reduction="sum").backward()


def products(rows: list[tuple[Tensor, Tensor]]) -> None:
    """The products aᵀa and gᵀg of all layers and batches, alone."""
    for _ in range(BATCHES):
        for a, g in rows:
            a.T @ a
            g.T @ g


def theirs(net: nn.Module, parameters: list[nn.Parameter], batches: list[tuple[Tensor, Tensor]], mode: str) -> dict:
    """Statistics by curvlinops, one Monte-Carlo sample or the given labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operator = KFACLinearOperator(
            net,
            nn.CrossEntropyLoss(reduction="sum"),
            parameters,
            batches,
            fisher_type=mode,
            kfac_approx="expand",
            check_deterministic=False,
            num_per_example_loss_terms=1,
        )
        operator.compute_kronecker_factors()
        return operator.state_dict()


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure the ratios and compare the factors."""
    torch.manual_seed(0)
    net = VisionTransformer(img_size=32, patch_size=4, embed_dim=192, depth=6, num_heads=3, num_classes=10).eval()
    batches = [(torch.randn(BATCH_SIZE, 3, 32, 32), torch.randint(10, (BATCH_SIZE,))) for _ in range(BATCHES)]
    layers = find_layers(net, ["blocks.*.mlp.fc1", "blocks.*.mlp.fc2"])
    positions = BATCH_SIZE * 65
    shapes = [layer.weight.shape for layer in layers.values()]
    rows = [(torch.randn(positions, q), torch.randn(positions, p)) for p, q in shapes]
    chosen = [p for layer in layers.values() for p in (layer.weight, layer.bias)]

    runs: dict[str, Callable[[], object]] = {
        "floor": lambda: floor(net, batches),
        "class token": lambda: fit(net, layers, VisionTask("cls"), batches, seed=0),
        "products": lambda: products(rows),
        "all positions": lambda: fit(net, layers, VisionTask("all"), batches, seed=0),
        "curvlinops": lambda: theirs(net, chosen, batches, "mc"),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(ROUNDS + 1):
        for name, run in runs.items():
            for parameter in net.parameters():  # the floor is that of frozen weights; curvlinops needs gradients
                parameter.requires_grad_(name == "curvlinops")
            took = seconds(run)
            if round_:  # the first round warms up
                times[name].append(took)

    def ratio(top: str, *bottom: str) -> float:
        return statistics.median(t / sum(b) for t, *b in zip(times[top], *(times[x] for x in bottom), strict=True))

    for name, values in times.items():
        print(f"{name:>14}: {statistics.median(values):.3f} s")
    claims = [
        ("class token / floor", ratio("class token", "floor"), 1.1),
        ("all positions / (floor + products)", ratio("all positions", "floor", "products"), 1.1),
        ("all positions / curvlinops", ratio("all positions", "curvlinops"), 0.9),
    ]
    for what, value, limit in claims:
        print(f"{what}: {value:.2f} (limit {limit})")

    for parameter in net.parameters():
        parameter.requires_grad_(True)
    expected = theirs(net, chosen, batches, "empirical")
    found = fit(net, layers, VisionTask("all"), batches, seed=0, labels="given")
    worst = 0.0
    for path, layer in found.layers.items():
        a, g = expected["input_covariances"][path].double(), expected["gradient_covariances"][path].double()
        for mine, other in ((layer.a, a / a.trace() * layer.a.trace()), (layer.g, g / g.trace() * layer.g.trace())):
            worst = max(worst, float((mine - other).norm() / mine.norm()))
        assert abs(float(g.trace()) / float(layer.g.trace()) / layer.count - 1) < 1e-4  # theirs is the sum
    print(f"factors beside curvlinops' on the same labels: largest relative difference {worst:.1e} (limit 1e-4)")
    assert worst < 1e-4
    for what, value, limit in claims:
        assert value <= limit, what


if __name__ == "__main__":
    main()

"""The cost of the statistics, as ratios within one run: asserts the limits of the engine.

fc1 and fc2 of all blocks of a ViT (width 192, 6 blocks, 65 tokens), float32. The floor is the forward and
backward pass of the same batches with frozen weights, started at the input of the first block. Times are the least
CPU seconds of one thread over interleaved repeats. ``--quick``: half the width and depth, wide limits.

- class token only: at most 1.1 floors
- all positions: at most 1.1 times the floor plus the products aᵀa and gᵀg timed alone
- all positions: at most 0.9 times curvlinops' KFACLinearOperator with one Monte-Carlo sample
- factors equal to curvlinops' to 1e-4 given the same labels
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from curvlinops import KFACLinearOperator
from timing import Claims, assert_claims, least_seconds, options
from torch import Tensor, nn
from torch.nn import functional

from vitmem.adapters.vision import VisionTask
from vitmem.kfac import Factors, find_layers, fit, weight_matrix
from vitmem.models.base import ImageShape
from vitmem.models.vit import vit

BATCHES, BATCH, TOKENS = 4, 32, 65
SHAPE = ImageShape(channels=3, size=32, num_classes=10)
Batch = tuple[Tensor, Tensor]


def setting(quick: bool = False) -> tuple[nn.Module, dict[str, nn.Module], list[Batch]]:
    """Return the network, its MLP layers by path, and batches of images (32, 3, 32, 32) with labels (32,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = vit(SHAPE, patch_size=4, width=96 if quick else 192, depth=3 if quick else 6)
    generator = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(BATCH, 3, 32, 32, generator=generator), torch.randint(10, (BATCH,), generator=generator))
        for _ in range(BATCHES)
    ]
    return model.net.eval().requires_grad_(False), find_layers(model.net, model.editable("all")), batches


def floor(net: nn.Module, batches: list[Batch]) -> None:
    """Run forward and backward through the activations alone, from the input of the first block."""
    first = net.get_submodule("blocks.0")
    handle = first.register_forward_pre_hook(lambda _block, args: (args[0].detach().requires_grad_(),))
    for images, labels in batches:
        functional.cross_entropy(net(images), labels, reduction="sum").backward()
    handle.remove()


def products(layers: dict[str, nn.Module]) -> Callable[[], None]:
    """Return a function with the products aᵀa and gᵀg of every layer and batch: the smallest cost of all positions."""
    generator = torch.Generator().manual_seed(2)
    widths = [n for layer in layers.values() for n in weight_matrix(layer).shape]
    rows = {n: torch.randn(BATCH * TOKENS, n, generator=generator) for n in set(widths)}

    def multiply() -> None:
        for _ in range(BATCHES):
            for n in widths:
                rows[n].T @ rows[n]

    return multiply


def curvlinops_factors(
    net: nn.Module, layers: dict[str, nn.Module], batches: list[Batch], kind: str
) -> KFACLinearOperator:
    """Return curvlinops' factors of the same weights; only these weights require a gradient during the call."""
    weights = [layer.weight for layer in layers.values()]
    for weight in weights:
        weight.requires_grad_(True)
    operator = KFACLinearOperator(
        net,
        nn.CrossEntropyLoss(reduction="sum"),
        weights,
        batches,
        fisher_type=kind,
        mc_samples=1,
        kfac_approx="expand",
        check_deterministic=False,
        num_data=BATCHES * BATCH,
        num_per_example_loss_terms=1,
    )
    operator.compute_kronecker_factors()
    for weight in weights:
        weight.requires_grad_(False)
    return operator


def check_factors(net: nn.Module, layers: dict[str, nn.Module], batches: list[Batch]) -> float:
    """Assert equal factors given the same labels; return the largest relative difference."""
    ours: Factors = fit(net, layers, VisionTask("all"), batches, labels="given", seed=0)
    theirs = curvlinops_factors(net, layers, batches, "empirical")
    apart = []
    for path, layer in ours.layers.items():
        # curvlinops sums over images and positions, vitmem takes the mean over positions
        g = theirs._gradient_covariances[path].double() / layer.count
        for mine, other in ((layer.a, theirs._input_covariances[path].double()), (layer.g, g)):
            apart.append(float((mine - other).norm() / other.norm()))
    assert max(apart) < 1e-4, f"factors differ from curvlinops' by {max(apart):.1e}"
    return max(apart)


def ratios(net: nn.Module, layers: dict[str, nn.Module], batches: list[Batch], quick: bool) -> Claims:
    """Time all contenders in turn and return the ratios with their limits."""
    contenders: dict[str, Callable[[], object]] = {
        "floor": lambda: floor(net, batches),
        "cls": lambda: fit(net, layers, VisionTask("cls"), batches, seed=0),
        "all": lambda: fit(net, layers, VisionTask("all"), batches, seed=0),
        "products": products(layers),
        "curvlinops": lambda: curvlinops_factors(net, layers, batches, "mc"),
    }
    times = least_seconds(contenders, 2 if quick else 7)
    print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items()), f"for {BATCHES * BATCH} images")
    return {
        "class token / floor": (times["cls"] / times["floor"], 1.6 if quick else 1.1),
        "all / (floor + products)": (times["all"] / (times["floor"] + times["products"]), 1.6 if quick else 1.1),
        "all / curvlinops": (times["all"] / times["curvlinops"], 1.2 if quick else 0.9),
    }


def main() -> None:
    """Compare the factors, then time all contenders and assert the ratios."""
    quick = options(__doc__).parse_args().quick
    warnings.filterwarnings("ignore")
    net, layers, batches = setting(quick)
    print(f"largest difference from curvlinops' factors: {check_factors(net, layers, batches):.1e} (limit 1e-4)")
    assert_claims(lambda: ratios(net, layers, batches, quick))


if __name__ == "__main__":
    main()

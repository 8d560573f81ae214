"""Collect statistics of ``Net`` on two ranks, half of the batch each, and on one; prints the largest difference.

Usage: ranks.py FOLDER. The children meet over a file in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from conftest import CLASSES, COUNT, TOKENS, WIDTH, Net, Tokens

from vitmem.kfac import Factors, corrected, find_layers, fit


def statistics(rows: slice) -> Factors:
    torch.manual_seed(0)
    net = Net().double()
    x = torch.randn(COUNT, TOKENS, WIDTH, dtype=torch.float64)
    given = torch.randint(CLASSES, (COUNT,))
    layers = find_layers(net, ["*"])
    batches = [(x[rows], given[rows])]
    first = fit(net, layers, Tokens(), batches, seed=0, labels="given", moments="coupled")
    return corrected(net, layers, Tokens(), batches, first)


def rank(number: int, folder: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=number, world_size=2)
    statistics(slice(0, 5) if number == 0 else slice(5, None)).save(Path(folder) / f"{number}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    mp.spawn(rank, (str(folder),), nprocs=2)
    whole = statistics(slice(None)).layers
    for number in (0, 1):
        for path, found in Factors.load(folder / f"{number}.safetensors").layers.items():
            assert found.count == whole[path].count
            for name in ("a", "g", "a_coupled", "g_coupled", "a_diagonal", "g_diagonal", "pairs"):
                difference = (getattr(found, name) - getattr(whole[path], name)).abs().max()
                print(number, path, name, float(difference))

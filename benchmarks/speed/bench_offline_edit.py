"""Editing one 11008 x 4096 matrix of a file, float32, from stored factors: asserts memory and time.

The matrix has the size of gate or up in a model of 7 B parameters; G alone takes 969 MB in float64. Each step runs in
its own process. Peaks are the largest resident sets (getrusage), minus that of an interpreter with torch imported.

- under 2 GB (2e9 bytes) at the peak, everything included: reading, copying the file, digests, the imports of the edit
- at most 1.5 times two eigendecompositions by torch and the two products, on matrices in memory

Other sizes: bench_offline_edit.py 2752 1024. ``--quick``: 1376 x 512, where overheads dominate time and memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from vitmem.kfac import Factors, LayerFactors, StoredFactors, mask_of, staircase_by_mass, weight_fingerprint
from vitmem.kfac.stored import stored_tensors
from vitmem.language.offline.edit import edit_folder

ROWS, COLUMNS, MASS, MEMORY, TIME = 11008, 4096, 0.6, 2e9, 1.5
PATH = "model.layers.0.mlp.gate_proj"


def peak() -> int:
    """Return the largest resident set of this process so far in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def moment(size: int, generator: torch.Generator) -> torch.Tensor:
    """Return the mean outer product (size, size) float64 of rows with a power law over columns."""
    rows = torch.randn(size + 500, size, generator=generator) * torch.arange(1, size + 1) ** -0.5
    return (rows.T @ rows / len(rows)).double()


def prepare(folder: Path, p: int, q: int) -> dict[str, float]:
    """Write the model's folder, with one matrix to edit and one to copy, and the factors."""
    generator = torch.Generator().manual_seed(0)
    model = folder / "model"
    model.mkdir()
    sizes = {"hidden_size": q, "intermediate_size": p, "num_hidden_layers": 1, "num_attention_heads": 8}
    (model / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 8, **sizes}))
    names = (f"{PATH}.weight", "model.layers.0.mlp.up_proj.weight")
    weights = {name: torch.randn(p, q, generator=generator) / q**0.5 for name in names}
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    layer = LayerFactors(count=1, a=moment(q, generator), g=moment(p, generator))
    digests = {PATH: weight_fingerprint(weights[names[0]])}
    Factors({PATH: layer}, {"weights": json.dumps(digests)}).save(folder / "factors.safetensors")
    return {}


def reference(folder: Path) -> dict[str, float]:
    """Time the decompositions and products needed for an edit, and keep their result."""
    stored = StoredFactors.open(folder / "factors.safetensors")
    a, g = stored.read(PATH, "a"), stored.read(PATH, "g")
    weight = stored_tensors(folder / "model" / "model.safetensors")[0][f"{PATH}.weight"].read().double()
    started = time.perf_counter()
    mu, inner = torch.linalg.eigh(a)
    lam, output = torch.linalg.eigh(g)
    eigh = time.perf_counter() - started
    staircase = staircase_by_mass(lam.flip(0).clamp_min(0), mu.flip(0).clamp_min(0), MASS)
    mask = mask_of(staircase, len(mu)).flip(0, 1)
    started = time.perf_counter()
    new = output @ (output.T @ weight @ inner * mask) @ inner.T
    products = time.perf_counter() - started
    save_file({"new": new.float()}, folder / "reference.safetensors")
    return {"eigh": eigh, "products": products, "seconds": eigh + products}


def edit(folder: Path) -> dict[str, float]:
    """Time the edit of the folder."""
    started = time.perf_counter()
    model, factors = folder / "model", folder / "factors.safetensors"
    edit_folder(model, factors, folder / "out", mass=MASS)
    return {"seconds": time.perf_counter() - started, "peak": peak()}


def apart(folder: Path) -> dict[str, float]:
    """Return the distance of the edited weight in the file from the reference's, relative to its norm."""
    mine = stored_tensors(folder / "out" / "model.safetensors")[0][f"{PATH}.weight"].read()
    known = stored_tensors(folder / "reference.safetensors")[0]["new"].read()
    return {"apart": float((mine - known).norm() / known.norm())}


def in_process(*arguments: str) -> dict[str, float]:
    """Run python with ``arguments`` and return the JSON it prints.

    A child process inherits the peak of its parent, so a small shell runs in between.
    """
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(p: int, q: int, time_limit: float = TIME) -> None:
    """Run the steps, then print and assert."""
    program = "import json, resource, sys, torch; unit = 1 if sys.platform == 'darwin' else 1024\n"
    program += "print(json.dumps({'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}))"
    with tempfile.TemporaryDirectory() as name:
        in_process(__file__, "prepare", name, str(p), str(q))
        floor = in_process("-c", program)["peak"]
        known, mine = (in_process(__file__, step, name) for step in ("reference", "edit"))
        difference = in_process(__file__, "apart", name)["apart"]
    beyond, ratio = mine["peak"] - floor, mine["seconds"] / known["seconds"]
    print(f"{p} x {q}: eigh {known['eigh']:.1f} s, products {known['products']:.1f} s; edit {mine['seconds']:.1f} s")
    print(f"peak {mine['peak'] / 1e9:.2f} GB, {beyond / 1e9:.2f} GB beyond torch alone (limit {MEMORY / 1e9:.0f} GB)")
    print(f"edit / (eigh + products): {ratio:.2f} (limit {time_limit}); weights apart by {difference:.1e} (limit 1e-6)")
    assert difference < 1e-6
    assert beyond < MEMORY
    assert ratio <= time_limit


if __name__ == "__main__":
    steps = {"reference": reference, "edit": edit, "apart": apart}
    if len(sys.argv) > 2 and sys.argv[1] == "prepare":
        print(json.dumps(prepare(Path(sys.argv[2]), *map(int, sys.argv[3:]))))
    elif len(sys.argv) > 1 and sys.argv[1] in steps:
        print(json.dumps(steps[sys.argv[1]](Path(sys.argv[2]))))
    elif sys.argv[1:] == ["--quick"]:
        main(ROWS // 8, COLUMNS // 8, time_limit=10)
    else:
        main(*(map(int, sys.argv[1:]) if len(sys.argv) > 1 else (ROWS, COLUMNS)))

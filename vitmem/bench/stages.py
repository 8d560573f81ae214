"""The shared stages: prepare data and network, train, collect statistics; each is kept in the store.

A stage that the store holds is read, never run again. Seeds come from names: the noise depends on
data, noise and seed, never on the model, so all architectures memorise the same wrong labels.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vitmem.adapters.vision import VisionTask
from vitmem.bench.environment import environment
from vitmem.bench.plan import Cell, statistics_request, training_id
from vitmem.bench.store import Store, read_json, write_json
from vitmem.bench.suite import Config
from vitmem.data.augment import normalise
from vitmem.data.load import load_data
from vitmem.data.noisy import Halves, NoisyImages, add_noise
from vitmem.data.split import some_of
from vitmem.errors import InputError
from vitmem.kfac import Factors, find_layers, fit
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import DATA, MODELS, NOISES
from vitmem.specs import Recipe, seed_from
from vitmem.training.fit import pick_device, train
from vitmem.training.tail import Tail

Say = Callable[[str], None]
FACTORS = "factors.safetensors"


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes, and on what device; none of it enters an id."""

    store: Store
    data_dir: Path | None
    cache_dir: Path
    device: str = "auto"
    progress: bool = True


@dataclass
class Bench:
    """One training's data, labels, halves and network, ready for its stages.

    ``factors`` (with their id and spectra), ``base_logits`` (N + V, K) and ``tails`` (by first edited
    block) are kept between evaluations.
    """

    config: Config
    id: str
    places: Places
    noisy: NoisyImages
    halves: Halves
    model: VisionModel
    factors: tuple[str, Factors] | None = None
    base_logits: Tensor | None = None
    tails: dict[int, Tail | None] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """The device that the stages run on."""
        return pick_device(self.places.device)


def own(config: Config, *shared: str) -> Config:
    """Return an entry's own parameters: ``config`` without the keys that all entries share."""
    return {k: v for k, v in config.items() if k not in shared}


def prepare(config: Config, places: Places) -> Bench:
    """Load the data, draw the noise and build the untrained network of a training's config.

    The training images, the noise and the halves do not depend on how many validation images are asked for.
    """
    data, noise, model, seed = config["data"], config["noise"], config["model"], config["seed"]
    named = {k: v for k, v in data.items() if k != "validation"}
    entry = DATA.get(data["name"])
    params = entry.parse(own(data, "name", "train", "validation"), "data")
    images = load_data(
        data["name"],
        params,
        places.data_dir,
        places.cache_dir,
        train=data.get("train"),
        validation=data.get("validation"),
        seed=seed_from("subset", named, seed),
    )
    noise_params = NOISES.get(noise["name"]).parse(own(noise, "name"), "noise")
    noisy = add_noise(images, noise["name"], noise_params, seed_from("noise", named, noise, seed))
    shape = ImageShape(images.channels, images.size, images.num_classes)
    dropout = config["recipe"].get("dropout")
    options = own(model, "name") if dropout is None else {**own(model, "name"), "dropout": dropout}
    model_params = MODELS.get(model["name"]).parse(options, "model")
    network = build(model["name"], model_params, shape, seed_from("init", model, data["name"], seed))
    halves = noisy.halves(seed_from("halves", named, noise, seed))
    return Bench(config, training_id(config), places, noisy, halves, network)


def ensure_training(bench: Bench, say: Say = print) -> None:
    """Train the network, or read the trained weights when the store has them.

    Raises InputError when the images or labels are not those that the stored weights were trained on.
    """
    store, seen = bench.places.store, {"data": bench.noisy.data.fingerprint, "labels": bench.noisy.labels.sha256}

    def fill(folder: Path) -> None:
        if not (folder / "training.json").exists():
            _train(bench, folder, seen, say)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # a finished training is never resumed

    folder = store.make("training", bench.id, fill, keep=True)
    recorded = read_json(folder / "training.json")
    for what, digest in seen.items():
        if recorded.get(what, digest) != digest:
            raise InputError(
                f"{folder}: it was trained on other {what} than '{bench.config['data']['name']}' has now; put the "
                "old files back, or give another folder with --store"
            )
    bench.model.net.load_state_dict(load_file(folder / "model.safetensors"))
    bench.model.net.to(bench.device).eval()


def _train(bench: Bench, folder: Path, seen: Config, say: Say) -> None:
    say("training")
    reset_peak_memory(bench.device)
    seed = seed_from("train", *(bench.config[k] for k in ("data", "noise", "model", "recipe", "seed")))
    resumed = (folder / "checkpoints" / "last.ckpt").exists()
    seconds = train(
        bench.model,
        bench.noisy,
        Recipe.model_validate(bench.config["recipe"]),
        seed,
        folder,
        device=bench.places.device,
        progress=bench.places.progress,
        say=say,
    )
    write_json(
        folder / "training.json",
        {
            "config": bench.config,
            **seen,
            "training_seconds": seconds,
            "training_resumed": resumed,
            "peak_memory_bytes": peak_memory(bench.device),
            "environment": environment(bench.device),
        },
    )


def ensure_statistics(bench: Bench, cell: Cell, say: Say = print) -> Factors:
    """Collect the K-FAC statistics that ``cell`` reads, or read them from the store; one set is kept in memory."""
    assert cell.statistics is not None
    if bench.factors is None or bench.factors[0] != cell.statistics:
        request = statistics_request(cell.config) or {}
        layers = find_layers(bench.model.net, bench.model.editable("all", request.get("layers")))
        store = bench.places.store
        folder = store.make("statistics", cell.statistics, lambda f: _collect(bench, cell, request, layers, f, say))
        factors = Factors.load(folder / FACTORS)
        factors.check(bench.model.net, layers)
        _spectra(factors, request)
        bench.factors = cell.statistics, factors
    return bench.factors[1]


def _collect(
    bench: Bench, cell: Cell, request: Config, layers: Mapping[str, nn.Module], folder: Path, say: Say
) -> None:
    """Collect statistics and their spectra, which every edit shares, and write the statistics to ``folder``."""
    say("statistics")
    reset_peak_memory(bench.device)
    started = time.perf_counter()
    count = len(bench.noisy.given)
    # a random part: files may lie sorted by class
    rows = some_of(count, request.get("images", count), 0, "statistics: 'images'")
    task = task_of(bench.model, request)
    factors = fit(
        bench.model.net,
        layers,
        task,
        _batches(bench, rows),
        labels=request["labels"],
        label_samples=request["label_samples"],
        # what is summed beside A and G, and of which layers, changes no label that is drawn
        seed=seed_from("statistics", cell.training, {**own(request, "layers"), "moments": "plain"}),
        metadata={"positions": task.positions, "data": bench.noisy.data.fingerprint, "training": cell.training},
        moments=request["moments"],
    )
    _spectra(factors, request)
    factors.save(folder / FACTORS)
    write_json(
        folder / "statistics.json",
        {
            "request": request,
            "positions": task.positions,
            "images": len(rows),
            "statistics_seconds": time.perf_counter() - started,
            "peak_memory_bytes": peak_memory(bench.device),
            "environment": environment(bench.device),
        },
    )


def _spectra(factors: Factors, request: Config) -> None:
    """Make the spectra that edits read, so that no single edit pays for what all share."""
    if request["moments"] != "diagonal":
        for layer in factors.layers.values():
            _ = layer.eigen_a, layer.eigen_g


def task_of(model: VisionModel, request: Config) -> VisionTask:
    """Return what counts as a position; raises InputError for the class token of a model that has none."""
    positions = request.get("positions") or model.positions
    if positions == "cls" and model.prefix_tokens == 0:
        raise InputError("statistics: positions 'cls' needs a class token, which this model has not; use 'all'")
    return VisionTask(positions=positions, prefix_tokens=model.prefix_tokens)


def _batches(bench: Bench, rows: Tensor, batch_size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield training images ``rows`` (n,) without augmentation as (images (B, C, H, W), given labels (B,))."""
    data, given = bench.noisy.data, bench.noisy.given
    for some in rows.split(batch_size):
        pixels = normalise(data.train.images[some].to(bench.device), data.mean, data.std)
        yield pixels, given[some].to(bench.device)


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new peak; a processor's peak is that of the whole process and cannot begin anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the largest memory in bytes: on a GPU since the last reset, else of the process so far."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

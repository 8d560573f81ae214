"""The shared stages: prepare data and network, train, collect statistics; each is kept in the store.

A stage that the store holds is read, never run again. Seeds come from names: the noise depends on
data, noise and seed, never on the model, so all architectures memorise the same wrong labels.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from vitmem.adapters.vision import VisionTask
from vitmem.bench.plan import Cell, statistics_request, training_id
from vitmem.bench.store import Store, write_json
from vitmem.bench.suite import Config
from vitmem.data.augment import normalise
from vitmem.data.load import load_data
from vitmem.data.noisy import Halves, NoisyImages, add_noise
from vitmem.kfac import Factors, find_layers, fit
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import DATA, MODELS, NOISES
from vitmem.specs import Recipe, seed_from
from vitmem.training.fit import pick_device, train
from vitmem.training.tail import Tail

Say = Callable[[str], None]


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
    """Load the data, draw the noise and build the untrained network of a training's config."""
    data, noise, model, seed = config["data"], config["noise"], config["model"], config["seed"]
    entry = DATA.get(data["name"])
    params = entry.parse(own(data, "name", "train", "validation"), "data")
    images = load_data(
        data["name"],
        params,
        places.data_dir,
        places.cache_dir,
        train=data.get("train"),
        validation=data.get("validation"),
        seed=seed_from("subset", data, seed),
    )
    noise_params = NOISES.get(noise["name"]).parse(own(noise, "name"), "noise")
    noisy = add_noise(images, noise["name"], noise_params, seed_from("noise", data, noise, seed))
    shape = ImageShape(images.channels, images.size, images.num_classes)
    model_params = MODELS.get(model["name"]).parse(own(model, "name"), "model")
    network = build(model["name"], model_params, shape, seed_from("init", model, data["name"], seed))
    return Bench(
        config, training_id(config), places, noisy, noisy.halves(seed_from("halves", data, noise, seed)), network
    )


def ensure_training(bench: Bench, say: Say = print) -> None:
    """Train the network, or read the trained weights when the store has them."""
    store = bench.places.store
    if not store.has("training", bench.id):
        say("training")
        started = time.perf_counter()
        with store.writing("training", bench.id, keep=True) as folder:
            seed = seed_from("train", *(bench.config[k] for k in ("data", "noise", "model", "recipe", "seed")))
            resumed = (folder / "checkpoints" / "last.ckpt").exists()
            train(
                bench.model,
                bench.noisy,
                Recipe.model_validate(bench.config["recipe"]),
                seed,
                folder,
                device=bench.places.device,
                progress=bench.places.progress,
            )
            shutil.rmtree(folder / "checkpoints")  # a finished training is never resumed
            write_json(
                folder / "training.json",
                {
                    "config": bench.config,
                    "training_seconds": time.perf_counter() - started,
                    "training_resumed": resumed,
                    "peak_memory_bytes": peak_memory(),
                },
            )
    weights = load_file(store.folder("training", bench.id) / "model.safetensors")
    bench.model.net.load_state_dict(weights)
    bench.model.net.to(bench.device).eval()


def ensure_statistics(bench: Bench, cell: Cell, say: Say = print) -> Factors:
    """Collect the K-FAC statistics that ``cell`` reads, or read them from the store."""
    store = bench.places.store
    assert cell.statistics is not None
    path = store.folder("statistics", cell.statistics) / "factors.safetensors"
    request = statistics_request(cell.config) or {}
    layers = find_layers(bench.model.net, bench.model.editable("all", request.get("layers")))
    if not store.has("statistics", cell.statistics):
        say("statistics")
        started = time.perf_counter()
        positions = request.get("positions") or bench.model.positions
        seed = seed_from("statistics", cell.training, request)
        images = request.get("images")
        metadata = {"positions": positions, "data": bench.noisy.data.fingerprint, "training": cell.training}
        with store.writing("statistics", cell.statistics) as folder:
            factors = fit(
                bench.model.net,
                layers,
                VisionTask(positions=positions, prefix_tokens=bench.model.prefix_tokens),
                _batches(bench, images),
                labels=request["labels"],
                label_samples=request["label_samples"],
                seed=seed,
                metadata=metadata,
                moments=request["moments"],
            )
            factors.save(folder / path.name)
            write_json(
                folder / "statistics.json",
                {
                    "request": request,
                    "images": images or len(bench.noisy.given),
                    "statistics_seconds": time.perf_counter() - started,
                    "peak_memory_bytes": peak_memory(),
                },
            )
    if bench.factors is None or bench.factors[0] != cell.statistics:
        factors = Factors.load(path)
        factors.check(bench.model.net, layers)
        bench.factors = cell.statistics, factors
    return bench.factors[1]


def _batches(bench: Bench, images: int | None, batch_size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the training images without augmentation as (images (B, C, H, W), given labels (B,))."""
    data, given = bench.noisy.data, bench.noisy.given
    count = min(images or len(given), len(given))
    for rows in torch.arange(count).split(batch_size):
        pixels = normalise(data.train.images[rows].to(bench.device), data.mean, data.std)
        yield pixels, given[rows].to(bench.device)


def peak_memory() -> int:
    """Return the largest memory of this process so far, in bytes (of the GPU when there is one)."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

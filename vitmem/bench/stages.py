"""The shared stages: train, collect statistics; each is kept in the store and read when it is there."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from vitmem.bench.environment import environment
from vitmem.bench.language import language_subject
from vitmem.bench.plan import Cell, statistics_request, training_id
from vitmem.bench.planted import planted_subject
from vitmem.bench.pretrained import pretrained_subject
from vitmem.bench.store import read_json, write_json
from vitmem.bench.subject import STOPPED, Places, Say, Subject, own
from vitmem.bench.suite import Config
from vitmem.bench.vision import vision_subject
from vitmem.bench.windows import windows_subject
from vitmem.errors import InputError
from vitmem.kfac import Factors, Task, Tempered, find_layers, fit_for
from vitmem.registry import DATA
from vitmem.specs import seed_from
from vitmem.training.fit import emulates_bfloat16, pick_device

FACTORS = "factors.safetensors"
SUBJECTS: Mapping[str, Callable[[Config, Places], Subject]] = {
    "image": vision_subject,
    "text": language_subject,
    "passages": pretrained_subject,
    "windows": windows_subject,
    "planted": planted_subject,
}


@dataclass
class Bench:
    """One training's subject, ready for its stages; ``factors`` (with their id) are kept between evaluations."""

    config: Config
    id: str
    places: Places
    subject: Subject
    factors: tuple[str, Factors] | None = None

    @property
    def device(self) -> torch.device:
        """The device that the stages run on."""
        return pick_device(self.places.device)


def prepare(config: Config, places: Places) -> Bench:
    """Load the data and build the untrained network of a training's config."""
    modality = DATA.get(config["data"]["name"]).info.get("modality", "image")
    return Bench(config, training_id(config), places, SUBJECTS[modality](config, places))


def ensure_training(bench: Bench, say: Say = print) -> None:
    """Train the network, or read the trained weights when the store has them.

    Raises InputError when the data or labels are not those that the stored weights were trained on.
    """
    subject, seen = bench.subject, bench.subject.seen()

    def fill(folder: Path) -> None:
        if not (folder / "training.json").exists():
            _train(bench, folder, seen, say)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # a finished training is never resumed

    folder = bench.places.store.make("training", bench.id, fill, keep=True)
    recorded = read_json(folder / "training.json")
    for what, digest in seen.items():
        if recorded.get(what, digest) != digest:
            raise InputError(
                f"{folder}: it was trained on other {what} than '{bench.config['data']['name']}' has now; put the "
                "old files back, or give another folder with --store"
            )
    weights = folder / "model.safetensors"
    if weights.exists():  # a model that came trained keeps its weights where it came from
        subject.net.load_state_dict(load_file(weights))
    subject.net.to(bench.device).eval()


def _train(bench: Bench, folder: Path, seen: Mapping[str, str], say: Say) -> None:
    say("training")
    if bench.config["recipe"].get("precision") == "bf16" and emulates_bfloat16(bench.device):
        say('this processor has no bfloat16: it trains several times faster with precision: "32" in the recipe')
    reset_peak_memory(bench.device)
    resumed = (folder / "checkpoints" / "last.ckpt").exists()
    seconds = bench.subject.train(folder, say)
    stopped = folder / STOPPED
    write_json(
        folder / "training.json",
        {
            "config": bench.config,
            **seen,
            **({"stopped": read_json(stopped)} if stopped.exists() else {}),
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
        store = bench.places.store
        folder = store.make("statistics", cell.statistics, lambda f: _collect(bench, cell, request, f, say))
        factors = Factors.load(folder / FACTORS)
        factors.check(bench.subject.net, _layers(bench, request))
        _spectra(factors, request)
        bench.factors = cell.statistics, factors
    return bench.factors[1]


def _layers(bench: Bench, request: Config) -> dict[str, nn.Module]:
    """Return the layers by path whose statistics are collected."""
    return find_layers(bench.subject.net, bench.subject.patterns("all", request.get("layers")))


def statistics_task(bench: Bench, request: Config) -> tuple[Task, str]:
    """Return how the network is read while statistics are collected, and the positions that count."""
    task, positions = bench.subject.task(request)
    temperature = request.get("temperature")
    return task if temperature is None else Tempered(task, temperature), positions


def collected(bench: Bench, cell: Cell) -> Factors:
    """Collect the statistics that ``cell`` reads, of the network as it is now."""
    request = statistics_request(cell.config) or {}
    task, positions = statistics_task(bench, request)
    return fit_for(
        bench.subject.net,
        _layers(bench, request),
        task,
        lambda: bench.subject.batches(request)[0],
        request["moments"],
        labels=request["labels"],
        label_samples=request["label_samples"],
        # what is summed beside A and G, and of which layers, changes no label that is drawn
        seed=seed_from("statistics", cell.training, {**own(request, "layers"), "moments": "plain"}),
        metadata={"positions": positions, "data": bench.subject.seen()["data"], "training": cell.training},
    )


def _collect(bench: Bench, cell: Cell, request: Config, folder: Path, say: Say) -> None:
    """Collect statistics and their spectra, which every edit shares, and write the statistics to ``folder``."""
    say("statistics")
    reset_peak_memory(bench.device)
    started = time.perf_counter()
    _, examples = bench.subject.batches(request)
    factors = collected(bench, cell)
    _spectra(factors, request)
    factors.save(folder / FACTORS)
    write_json(
        folder / "statistics.json",
        {
            "request": request,
            "positions": factors.metadata["positions"],
            "images": examples,
            "statistics_seconds": time.perf_counter() - started,
            "peak_memory_bytes": peak_memory(bench.device),
            "environment": environment(bench.device),
        },
    )


def _spectra(factors: Factors, request: Config) -> None:
    """Make the spectra that edits read, so that no single edit pays for what all share."""
    if request["moments"] in ("plain", "coupled"):
        for layer in factors.layers.values():
            _ = layer.eigen_a, layer.eigen_g


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new peak; a processor's peak is that of the whole process and cannot begin anew."""
    if device.type == "cuda":
        torch.cuda.init()  # before anything lies on the GPU its statistics refuse every device
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the largest memory in bytes: on a GPU since the last reset, else of the process so far."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""A training's subject and its first stage: the training, kept in the store and read when it is there."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from vitmem.bench.environment import environment
from vitmem.bench.language import language_subject
from vitmem.bench.plan import Cell, training_id
from vitmem.bench.planted import planted_subject
from vitmem.bench.pretrained import pretrained_subject
from vitmem.bench.store import read_json, write_json
from vitmem.bench.subject import STOPPED, Places, Say, Subject
from vitmem.bench.suite import Config
from vitmem.bench.vision import vision_subject
from vitmem.bench.windows import windows_subject
from vitmem.errors import InputError
from vitmem.kfac import Factors
from vitmem.registry import DATA
from vitmem.training.fit import emulates_bfloat16, pick_device

SUBJECTS: Mapping[str, Callable[[Config, Places], Subject]] = {
    "image": vision_subject,
    "text": language_subject,
    "passages": pretrained_subject,
    "windows": windows_subject,
    "planted": planted_subject,
}


@dataclass
class Bench:
    """One training's subject, ready for its stages; ``factors`` (with their id) are kept between evaluations.

    ``cells`` are those to come: the statistics that they read are collected together.
    """

    config: Config
    id: str
    places: Places
    subject: Subject
    cells: Sequence[Cell] = ()
    factors: tuple[str, Factors] | None = None

    @property
    def device(self) -> torch.device:
        """The device that the stages run on."""
        return pick_device(self.places.device)


def prepare(config: Config, places: Places, cells: Sequence[Cell] = ()) -> Bench:
    """Load the data and build the untrained network of a training's config, for ``cells`` of it."""
    modality = DATA.get(config["data"]["name"]).info.get("modality", "image")
    return Bench(config, training_id(config), places, SUBJECTS[modality](config, places), cells)


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

"""Damaged files of models, statistics and edits: one sentence, or the result of whole ones; no change is used unseen.

Flips, cuts, empty and missing files, folders and pipes in their places, keys that come twice, lists of great depth.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from vitmem.errors import VitmemError
from vitmem.kfac import Factors, find_layers, fit, state_digest
from vitmem.language.harness_scores import Sample, Scores
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.offline.edit import edit_folder
from vitmem.language.task import language_task
from vitmem.models.weights import read_weights
from vitmem.offline.record import Record
from vitmem.offline.request import Request
from vitmem.offline.vision import edit_checkpoint

LONGEST = 500  # characters of one sentence
# Damages of one file: how many bytes are flipped, one at a time, and where it is cut.
FLIPS, CUTS = 40, 8


@dataclass
class Case:
    """A file that is damaged, what reads it, and whether every change of its content is noticed.

    Weights and configs that a user brings have no digest: of those a flipped number is another network.
    """

    file: Path
    read: Callable[[], Any]
    digested: bool


def language(folder: Path) -> tuple[Path, Path]:
    """Write a tiny Llama in shards and statistics of its last block; return both."""
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    model: nn.Module = LlamaForCausalLM(LlamaConfig(vocab_size=32, max_position_embeddings=32, **sizes)).eval()
    model.save_pretrained(folder / "llama", max_shard_size="10KB")  # type: ignore[operator]
    batch = {"input_ids": torch.randint(32, (4, 17), generator=torch.Generator().manual_seed(1))}
    fit(model, find_layers(model, mlp_layers(model, [1])), language_task(model), [batch], seed=0).save(
        folder / "f.safetensors"
    )
    return folder / "llama", folder / "f.safetensors"


def scores() -> Scores:
    sample = Sample(id=1, filter="none", prompt="ab12", metrics={"acc": 1.0}, said=["yes"])
    return Scores(
        model="m", weights="ab", lm_eval="0.4", results={"boolq": {"acc,none": 0.5}}, samples={"boolq": [sample]}
    )


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("whole")
    with torch.random.fork_rng(devices=[]):
        model, factors = language(folder)
        net = timm.create_model("test_vit", img_size=32, num_classes=3)
    small = {name: tensor for name, tensor in net.state_dict().items() if tensor.numel() < 200}
    save_file(small, folder / "net.safetensors")
    torch.save({"state_dict": small, "epoch": 3}, folder / "net.pth")
    save_file(net.state_dict(), folder / "whole.safetensors")
    request = Request(model="timm/test_vit", size=32, method="svd", settings={"rank_fraction": 0.5}, blocks="last")
    edit_checkpoint(folder / "whole.safetensors", None, folder / "e.safetensors", request)
    scores().save(folder / "base.json")

    def edited() -> dict[str, Any]:
        out = folder / "edited"
        try:
            reports = edit_folder(model, factors, out, mass=0.6)
            index = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"]
            tensors = {name: tensor for file in out.glob("*.safetensors") for name, tensor in load_file(file).items()}
            return {"reports": reports, "tensors": state_digest(tensors), "index": index}
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def undone() -> str:
        out = folder / "back.safetensors"
        try:
            Record.open(folder / "e.json").dial(0.5, out)
            return state_digest(load_file(out))
        finally:
            out.unlink(missing_ok=True)

    def statistics() -> dict[str, Any]:
        found = Factors.load(factors)
        parts = {f"{n}.{side}": getattr(layer, side) for n, layer in found.layers.items() for side in ("a", "g")}
        return {"parts": state_digest(parts), "metadata": found.metadata}

    shard = sorted(model.glob("*.safetensors"))[-1]
    return {
        "weights": Case(
            folder / "net.safetensors", lambda: state_digest(read_weights(folder / "net.safetensors").tensors), False
        ),
        "torch": Case(folder / "net.pth", lambda: state_digest(read_weights(folder / "net.pth").tensors), True),
        "statistics": Case(factors, statistics, True),
        "stored statistics": Case(factors, edited, True),
        "shard": Case(shard, edited, False),
        "index": Case(model / "model.safetensors.index.json", edited, True),
        "config": Case(model / "config.json", edited, False),
        "record": Case(folder / "e.json", undone, True),
        "edited": Case(folder / "e.safetensors", undone, True),
        "removed": Case(folder / "e.removed.safetensors", undone, True),
        "scores": Case(folder / "base.json", lambda: Scores.load(folder / "base.json"), True),
    }


def damages(path: Path, whole: bytes, rng: random.Random) -> Iterator[str]:
    """Yield the name of each damage while it is there."""
    for _ in range(FLIPS):
        # headers are short: half of all flips are in the first kilobyte
        place = rng.randrange(min(len(whole), 1024) if rng.random() < 0.5 else len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        yield f"flip at {place}"
    for length in sorted(rng.sample(range(1, len(whole)), CUTS)):
        path.write_bytes(whole[:length])
        yield f"cut to {length}"
    for name, content in {"empty": b"", "zeros": bytes(len(whole)), "deep": b"[" * 100_000, "list": b"[]"}.items():
        path.write_bytes(content)
        yield name
    if b'"digests"' in whole:  # a damaged word must not make it a file without digests
        path.write_bytes(whole.replace(b'"digests"', b'"digestz"', 1))
        yield "another word for digests"
    if whole[:1] == b"{":
        key = whole.split(b'"')[1]
        path.write_bytes(b'{"' + key + b'": 0,' + whole[1:])
        yield "a key twice"
        path.write_bytes(b"{}")
        yield "no keys"
    path.unlink()
    yield "missing"
    path.mkdir()
    yield "a folder"
    path.rmdir()
    os.mkfifo(path)
    yield "a pipe"
    path.unlink()
    path.symlink_to("/dev/zero")
    yield "a device"
    path.unlink()


def outcome(read: Callable[[], Any], expected: Any) -> str:
    try:
        found = read()
    except VitmemError as error:
        return "sentence" if "\n" not in str(error) and len(str(error)) < LONGEST else f"long: {error}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {str(error)[:200]}"
    return "the same" if found == expected else "another result"


NAMES = (
    "weights",
    "torch",
    "statistics",
    "stored statistics",
    "shard",
    "index",
    "config",
    "record",
    "edited",
    "removed",
)


@pytest.mark.parametrize("name", [*NAMES, "scores"])
def test_damage_is_one_sentence(name: str, cases: dict[str, Case]) -> None:
    case = cases[name]
    whole, expected = case.file.read_bytes(), case.read()
    counts: Counter[str] = Counter()
    try:
        for damage in damages(case.file, whole, random.Random(name)):
            found = outcome(case.read, expected)
            # a flipped number in what has no digest is another network, and only that
            allowed = (
                {"sentence", "the same"}
                if case.digested or "flip" not in damage
                else {"sentence", "the same", "another result"}
            )
            assert found in allowed, f"{name}, {damage}: {found}"
            counts[found] += 1
    finally:
        case.file.unlink(missing_ok=True)
        case.file.write_bytes(whole)
    assert case.read() == expected
    print(f"{name}: {dict(counts)}")

"""Statistics of a saved model on texts: those of the engine over rows packed by hand, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vitmem.errors import InputError
from vitmem.kfac import Factors, StoredFactors, find_layers, fit
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.offline.fit import fit_texts
from vitmem.language.offline.presets import FitSettings
from vitmem.language.task import language_task
from vitmem.progress import Step, shown_by

Make = Callable[..., Any]
WORDS = [int(n) for n in torch.randint(30, (217,), generator=torch.Generator().manual_seed(3))]
CPU = torch.device("cpu")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(" ".join(f"w{n}" for n in WORDS[:100]))
    (folder / "b.txt").write_text(" ".join(f"w{n}" for n in WORDS[100:]))
    return folder


class Steps(list[Step]):
    """Keeps every step."""

    every = 0.0

    def __call__(self, step: Step) -> None:
        self.append(step)


def run(source: Path, text: Path, out: Path, **changes: Any) -> tuple[Factors, Steps]:
    steps = Steps()
    settings = FitSettings(**{"blocks": [1, 2], "length": 16, "batch": 3, "dtype": "float32", **changes})
    with shown_by(steps):
        fit_texts(str(source), text, out, settings, CPU)
    return Factors.load(out), steps


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_engine_over_rows_packed_by_hand(saved: Make, text: Path, tmp_path: Path, name: str) -> None:
    one = saved(name)
    found, steps = run(one.folder, text, tmp_path / "f.safetensors")
    ids = torch.tensor([n + 2 for n in WORDS])[: 13 * 16].reshape(13, 16)  # two tokens stand before the words
    layers = find_layers(one.model, mlp_layers(one.model, [1, 2]))
    expected = fit(one.model, layers, language_task(one.model), [{"input_ids": ids}], seed=0)
    assert list(found.layers) == list(layers)
    for path, layer in expected.layers.items():
        assert found.layers[path].count == layer.count == 13 * 15
        for side in ("a", "g"):
            known = getattr(layer, side)
            assert torch.allclose(getattr(found.layers[path], side), known, rtol=1e-4, atol=1e-6 * known.abs().max())
    facts = {"tokens": "208", "rows": "13", "length": "16", "labels": "sampled", "positions": "all"}
    assert facts.items() <= found.metadata.items()
    assert [(step.done, step.total) for step in steps] == [(n, 13) for n in (0, 3, 6, 9, 12, 13, None)]
    assert not list(tmp_path.glob("*.partial"))


def test_what_is_asked_for_is_what_is_done(saved: Make, text: Path, tmp_path: Path) -> None:
    one = saved("llama")
    changes = {"tokens": 40, "roles": ("down",), "blocks": "last", "labels": "given", "dtype": "bfloat16"}
    found, _ = run(one.folder, text, tmp_path / "f.safetensors", **changes)
    assert list(found.layers) == ["model.layers.2.mlp.down_proj"]
    assert found.layers["model.layers.2.mlp.down_proj"].count == 2 * 15
    assert found.metadata["labels"] == "given" and found.metadata["dtype"] == "bfloat16"
    narrow = one.model.model.layers[2].mlp.down_proj.weight
    assert StoredFactors.open(tmp_path / "f.safetensors").check_weight("model.layers.2.mlp.down_proj", narrow)


def test_a_file_that_is_there_is_not_overwritten(saved: Make, text: Path, tmp_path: Path) -> None:
    one = saved("llama")
    with pytest.raises(InputError, match=r"llama.safetensors exists"):
        run(one.folder, text, one.file)


def test_an_interruption_leaves_nothing(saved: Make, text: Path, tmp_path: Path) -> None:
    class Stop(Steps):
        def __call__(self, step: Step) -> None:
            if step.done:
                raise KeyboardInterrupt

    one = saved("llama")
    settings = FitSettings(blocks=[1], length=16, batch=3, dtype="float32")
    with pytest.raises(KeyboardInterrupt), shown_by(Stop()):
        fit_texts(str(one.folder), text, tmp_path / "f.safetensors", settings, CPU)
    assert not list(tmp_path.glob("f.safetensors*"))

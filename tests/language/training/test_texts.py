"""A language training that was killed ends with the weights of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from vitmem.language.datasets.spectrum import spectrum
from vitmem.language.models.base import TextShape, build_language
from vitmem.language.training.texts import train_texts
from vitmem.recipe import Recipe
from vitmem.registry import MODELS

SGD = {"optimizer": "sgd", "scheduler": {"name": "step", "decay_t": 2, "decay_rate": 0.1}, "ema": 0.9, "lr": 0.1}


@pytest.mark.parametrize("changes", [{}, SGD])
def test_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    rows = dict.fromkeys(("background", "arithmetic", "open_book", "rule", "logic"), 20)
    texts = spectrum(0, **rows, strings=4, string_rows=20, facts=5, most_frequent=9, asked=10, held_out=10)
    params = MODELS.get("llama").parse({"width": 16, "depth": 1, "heads": 2, "mlp_width": 32}, "model")
    recipe = Recipe(**{"epochs": 4, "batch_size": 16, "lr": 3e-3, "warmup_epochs": 1, "curve_every": 1, **changes})

    def run(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        model = build_language(params, TextShape(texts.vocab_size, texts.length), 0)
        train_texts(model.net, texts, recipe, 5, folder, device="cpu")

    run(tmp_path / "whole")
    keep = ModelCheckpoint.on_train_epoch_end

    def dying(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        keep(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path / "killed")
    run(tmp_path / "killed")
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    curves = [(tmp_path / name / "curves.csv").read_text() for name in ("whole", "killed")]
    assert curves[0] == curves[1] and len(curves[0].splitlines()) == 5

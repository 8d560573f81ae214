"""Code that lies beside a model of transformers is never run, whoever answers the question that transformers asks."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vitmem.errors import InputError
from vitmem.language.models.pretrained import pretrained
from vitmem.language.models.skeleton import skeleton_of

CODE = "from pathlib import Path\nPath('ran').touch()\nfrom transformers import PretrainedConfig\n"
READERS: dict[str, Callable[[], object]] = {
    "pretrained": lambda: pretrained(Path("."), source="model"),
    "skeleton": lambda: skeleton_of(Path("model")),
}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\ny\n"))
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["model", "tokenizer"])
def test_it_is_not_run(reader: str, kind: str, model: Path) -> None:
    code = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Net"} if kind == "model" else {}
    (model / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": code}))
    words = {"auto_map": {"AutoTokenizer": ["code.Words", None]}, "tokenizer_class": "Words"}
    (model / "tokenizer_config.json").write_text(json.dumps(words))
    (model / "code.py").write_text(f"{CODE}class Config(PretrainedConfig):\n    model_type = 'own'\nNet = None\n")
    with pytest.raises(InputError) as error:
        READERS[reader]()
    assert "\n" not in str(error.value) and "trust_remote_code" not in str(error.value)
    assert kind != "model" or "it needs code that lies beside it, and such code is not run" in str(error.value)
    assert not Path("ran").exists()


def test_pickled_weights_are_not_read(model: Path) -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    (model / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 8, **sizes}))
    torch.save({}, model / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(InputError, match="cannot load 'model'"):
        pretrained(Path("."), source="model")

"""lm-evaluation-harness on a live model, offline, against a count by hand through transformers alone."""

from __future__ import annotations

import importlib.util
import json
import random
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.kfac import edited
from vitmem.language.harness import PRESETS, Preset, evaluate_tasks, load_preset
from vitmem.language.harness_scores import Sample, Scores, compare

ROOT = Path(__file__).parents[2]
INSTALLED = importlib.util.find_spec("lm_eval") is not None
needs_lm_eval = pytest.mark.skipif(not INSTALLED, reason="lm_eval is not installed: pip install 'vitmem[lm-eval]'")
WORDS = [f"w{n}" for n in range(30)]
COUNT, SAID = 12, 3
runner = CliRunner()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever would open a connection fails; data sets are prepared in a folder of the test."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    vocabulary = {word: n for n, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def net() -> Any:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = LlamaForCausalLM(LlamaConfig(vocab_size=33, max_position_embeddings=64, initializer_range=0.5, **sizes))
    return net.eval()


@pytest.fixture(scope="module")
def change(net: Any) -> dict[str, torch.Tensor]:
    """New weights of one layer, which change some answers."""
    generator = torch.Generator().manual_seed(1)
    old = net.model.layers[1].mlp.up_proj.weight.detach()
    return {"model.layers.1.mlp.up_proj": old * torch.randint(2, old.shape, generator=generator)}


def says(net: Any, tokenizer: Any, prompt: str) -> str:
    """Return what the model says greedily, one prompt at a time and nothing padded."""
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    out = net.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=SAID, do_sample=False, pad_token_id=2)
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def prefers(net: Any, tokenizer: Any, prompt: str, choices: list[str]) -> int:
    """Return the choice with the largest sum of log-probabilities."""
    sums = []
    for choice in choices:
        start, ids = len(tokenizer(prompt).input_ids), tokenizer(f"{prompt} {choice}", return_tensors="pt").input_ids
        with torch.no_grad():
            logs = net(ids).logits[0].log_softmax(1)
        sums.append(sum(float(logs[t - 1, ids[0, t]]) for t in range(start, ids.shape[1])))
    return max(range(len(choices)), key=sums.__getitem__)


@pytest.fixture(scope="module")
def questions(net: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """Prompts of several lengths; the answers to half of them are what the model says."""
    draw = random.Random(0)
    out = []
    for n in range(COUNT):
        prompt = " ".join(draw.choices(WORDS, k=2 + n % 5))
        answer = says(net, tokenizer, prompt) if n % 2 else " ".join(draw.choices(WORDS, k=SAID))
        choices = [" ".join(draw.choices(WORDS, k=k)) for k in (1, 2, 2)]
        out.append({"prompt": prompt, "answer": answer, "choices": choices, "label": n % 3})
    return out


@pytest.fixture(scope="module")
def folder(net: Any, tokenizer: Any, change: Any, questions: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model before and after the change, and two tasks over one file of questions."""
    root = tmp_path_factory.mktemp("harness")
    tokenizer.save_pretrained(root / "base")
    tokenizer.save_pretrained(root / "edited")
    net.save_pretrained(root / "base")
    with edited(net, change):
        net.save_pretrained(root / "edited")
    (root / "questions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(root / "questions.jsonl")}},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "metadata": {"version": 1.0},
    }
    recite = {
        "task": "tiny_recite",
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": [";"], "max_gen_toks": SAID, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    choose = {
        "task": "tiny_choose",
        "output_type": "multiple_choice",
        "doc_to_target": "label",
        "doc_to_choice": "{{choices}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (root / "tasks").mkdir()
    for task in (recite, choose):
        (root / "tasks" / f"{task['task']}.yaml").write_text(yaml.safe_dump({**common, **task}))
    return root


def by_hand(net: Any, tokenizer: Any, questions: Any) -> dict[str, list[bool]]:
    return {
        "tiny_recite": [says(net, tokenizer, one["prompt"]) == one["answer"] for one in questions],
        "tiny_choose": [prefers(net, tokenizer, one["prompt"], one["choices"]) == one["label"] for one in questions],
    }


KEYS = {"tiny_recite": "exact_match,none", "tiny_choose": "acc,none"}


@needs_lm_eval
@pytest.mark.usefixtures("offline")
def test_the_command_counts_as_transformers_alone_does(
    folder: Path, net: Any, tokenizer: Any, change: Any, questions: Any, tmp_path: Path
) -> None:
    common = ["--tasks", "tiny_recite,tiny_choose", "--include", str(folder / "tasks"), "--device", "cpu"]
    first, second = tmp_path / "out" / "base.json", tmp_path / "edited.json"
    out = runner.invoke(app, ["lm-eval", str(folder / "base"), *common, "--out", str(first)])
    assert out.exit_code == 0, out.output + repr(out.exception)
    out = runner.invoke(app, ["lm-eval", str(folder / "edited"), *common, "--out", str(second), "--base", str(first)])
    assert out.exit_code == 0, out.output + repr(out.exception)
    base, new = Scores.load(first), Scores.load(second)
    truth = by_hand(net, tokenizer, questions)
    with edited(net, change):
        after = by_hand(net, tokenizer, questions)
        live = evaluate_tasks(net, tokenizer, list(KEYS), model="live", include=folder / "tasks", batch_size=3)
    assert live.results == new.results and live.weights == new.weights != base.weights
    for task, key in KEYS.items():
        assert base.results[task][key] == sum(truth[task]) / COUNT
        assert [one.metrics[key.partition(",")[0]] for one in base.samples[task]] == truth[task]
        lost = sum(was and not now for was, now in zip(truth[task], after[task], strict=True))
        won = sum(now and not was for was, now in zip(truth[task], after[task], strict=True))
        row = next(line.split() for line in out.output.splitlines() if line.startswith(task))
        shown = [f"{sum(one[task]) / COUNT:.4f}" for one in (after, truth)]
        retention = f"{sum(after[task]) / sum(truth[task]):.1%}"
        assert row[1:] == [key, *shown, retention, str(lost), str(won)]
    # or the test could not fail
    assert 0 < sum(after["tiny_recite"]) < sum(truth["tiny_recite"]) and 0 < sum(truth["tiny_choose"]) < COUNT


@needs_lm_eval
@pytest.mark.usefixtures("offline")
def test_a_limit_and_nothing_outside_is_changed(folder: Path, net: Any, tokenizer: Any) -> None:
    net.train()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[union-attr]
    padding = tokenizer.pad_token
    found = evaluate_tasks(net, tokenizer, ["tiny_choose"], model="m", include=folder / "tasks", limit=5)
    assert len(found.samples["tiny_choose"]) == 5 and found.limit == 5
    assert net.training and tokenizer.pad_token == padding
    net.eval()
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]  # type: ignore[union-attr]
    assert torch.equal(torch.get_rng_state(), states[2])


@needs_lm_eval
@pytest.mark.usefixtures("offline")
def test_what_cannot_be_asked(folder: Path, net: Any, tokenizer: Any, tmp_path: Path) -> None:
    def ask(task: str, include: Path | None = folder / "tasks") -> None:
        evaluate_tasks(net, tokenizer, [task], model="m", include=include)

    with pytest.raises(InputError, match="unknown task 'tiny_recit'; did you mean 'tiny_recite'"):
        ask("tiny_recit")
    with pytest.raises(InputError, match="no such folder"):
        ask("tiny_recite", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no task of lm-eval in"):
        ask("tiny_recite", tmp_path / "empty")
    broken = yaml.safe_load((folder / "tasks" / "tiny_recite.yaml").read_text())
    broken |= {"task": "torn", "dataset_kwargs": {"data_files": {"test": str(tmp_path / "nowhere.jsonl")}}}
    (tmp_path / "torn.yaml").write_text(yaml.safe_dump(broken))
    with pytest.raises(InputError, match=r"lm-eval: torn: .*nowhere.jsonl"):
        ask("torn", tmp_path)


@needs_lm_eval
def test_the_preset_names_tasks_that_lm_eval_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    preset = load_preset("merullo2025")
    known = importlib.import_module("lm_eval.tasks").TaskManager().task_index
    assert [task for task in preset.tasks() if task not in known] == []
    assert [task for task in preset.missing() if task in known] == []


def test_presets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    preset = load_preset("merullo2025")
    assert preset == load_preset(str(PRESETS / "merullo2025.yaml"))
    assert preset.tasks(["popqa"])["popqa"] == "closed-book facts" and "popqa" not in preset.tasks()
    assert {"popqa", "relations", "boar_etruscan"} <= set(preset.missing())
    assert "popqa" not in preset.missing(["popqa"])
    with pytest.raises(InputError, match="presets: merullo2025"):
        load_preset("merulo")
    (tmp_path / "own.yaml").write_text("families: {a: {task: [x]}}")
    with pytest.raises(InputError, match=r"unknown key 'families.a.task'; did you mean 'tasks'"):
        load_preset(str(tmp_path / "own.yaml"))
    assert Preset.model_validate({"families": {"a": {"tasks": ["x"]}}}).tasks() == {"x": "a"}


def scores(outcomes: list[float], value: float, better: bool | None = True, prompt: str = "p", **other: Any) -> Scores:
    samples = [Sample(id=n, filter="none", prompt=prompt, metrics={"acc": v}) for n, v in enumerate(outcomes)]
    facts = {"model": "m", "weights": "w", "lm_eval": "0", "higher_is_better": {"t": {"acc": better}}, **other}
    return Scores.model_validate({**facts, "results": {"t": {"acc,none": value}}, "samples": {"t": samples}})


def test_retention_and_flips() -> None:
    (one,) = compare(scores([1, 0, 1, 0, 0], 0.4), scores([1, 1, 0, 1, 0], 0.6))
    assert (one.value, one.base, one.turned_wrong, one.turned_right) == (0.4, 0.6, 2, 1)
    assert one.retention == pytest.approx(2 / 3)
    (graded,) = compare(scores([0.5, 1], 0.75, better=False), scores([1, 1], 1.0))
    assert graded.retention is None and graded.turned_wrong is None
    assert compare(scores([1], 1.0), scores([0], 0.0))[0].retention is None
    (alone,) = compare(scores([1], 1.0))
    assert alone.base is alone.retention is alone.turned_right is None


def test_a_base_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="asked 1 questions there and 2 here, of which 1 are the same"):
        compare(scores([1, 1], 1.0), scores([1], 1.0))
    with pytest.raises(InputError, match="of which 0 are the same"):
        compare(scores([1], 1.0), scores([1], 1.0, prompt="q"))
    scores([1], 1.0, limit=3).save(tmp_path / "base.json")
    assert Scores.load(tmp_path / "base.json") == scores([1], 1.0, limit=3)
    assert [path.name for path in tmp_path.iterdir()] == ["base.json"]
    for text, says in (
        ("{", "expected what 'vitmem lm-eval --out' writes"),
        ('{"model": "m"}', "'weights': field required"),
    ):
        (tmp_path / "torn.json").write_text(text)
        with pytest.raises(InputError, match=says):
            Scores.load(tmp_path / "torn.json")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "expected either --tasks or --preset"),
        (["--tasks", "a", "--preset", "b"], "expected either --tasks or --preset"),
        (["--tasks", " , "], "expected names separated by commas"),
        (["--tasks", "a", "--base", "nowhere.json"], "nowhere.json: no such file"),
        (["--tasks", "a", "--base", "base.json"], "was made with --limit 3, this is --limit none"),
    ],
)
def test_options_are_checked_before_a_model_is_loaded(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if not INSTALLED:
        monkeypatch.setitem(sys.modules, "lm_eval", type(sys)("lm_eval"))
    scores([1], 1.0, limit=3).save(Path("base.json"))
    error = runner.invoke(app, ["lm-eval", "nowhere", *arguments]).exception
    assert isinstance(error, InputError) and says in str(error)


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    error = runner.invoke(app, ["lm-eval", "nowhere", "--tasks", "a"]).exception
    assert isinstance(error, InputError) and "pip install 'vitmem[lm-eval]'" in str(error)

"""Plug-ins as people write them: beside helpers, with faults, and named by a suite."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.metrics.measure import try_metrics
from vitmem.registry import REGISTRIES
from vitmem.rows import read_rows

Write = Callable[..., Path]
NET = "from vitmem.registry import MODELS\n@MODELS.register('{name}')\ndef net(shape, *, width: int = 3):\n    ...\n"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    path, modules = sys.path.copy(), set(sys.modules)
    before = {kind: {entry.name for entry in registry.entries()} for kind, registry in REGISTRIES.items()}
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    for kind, registry in REGISTRIES.items():
        for entry in registry.entries():
            if entry.name not in before[kind]:
                registry.discard(entry.name)


def names() -> set[str]:
    return {entry.name for entry in REGISTRIES["models"].entries()}


def test_what_lies_beside_a_plug_in_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helper_of_mine.py").write_text("NAME = 'beside'\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "random.py").write_text("raise ValueError('Python has one')\n")
    text = "import random, helper_of_mine, parts\nassert random.random\n" + NET.format(name="beside")
    (tmp_path / "mine.py").write_text(text)
    load_plugins([str(tmp_path / "mine.py")])
    assert "beside" in names()


def test_two_helpers_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper_of_mine.py").write_text(f"NAME = '{folder}'\n")
        (tmp_path / folder / f"net_{folder}.py").write_text("import helper_of_mine\n" + NET.format(name=folder))
    load_plugins([str(tmp_path / "a" / "net_a.py")])
    with pytest.raises(InputError, match=r"two plug-ins have a 'helper_of_mine.py' each"):
        load_plugins([str(tmp_path / "b" / "net_b.py")])
    assert "b" not in names()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys\nsys.exit(3)\n", r"it calls sys.exit\(3\) where it should raise an error \(mine.py:2\)"),
        ("exit()\n", r"it calls sys.exit\(None\) .* \(mine.py:1\)"),
        ("import sub\n", r"ZeroDivisionError: division by zero \(sub.py:2\)"),
        ("x = 1\nimport nothing_of_this_name\n", r"No module named 'nothing_of_this_name' \(mine.py:2\)"),
        ("a = 1\nb = (\n", r"SyntaxError: .* \(mine.py:2\)"),
        (NET.format(name="half") + NET.format(name="vit"), r"model 'vit' is registered already.* \(mine.py:[67]\)"),
    ],
)
def test_a_plug_in_that_fails_is_one_sentence_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "sub.py").write_text("\n1 / 0\n")
    (tmp_path / "mine.py").write_text(text)
    path, before = sys.path.copy(), names()
    with pytest.raises(InputError, match=says) as caught:
        load_plugins([str(tmp_path / "mine.py")])
    assert "\n" not in str(caught.value) and names() == before and sys.path == path


def test_a_suite_names_its_plug_ins_relative_to_its_own_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(NET.format(name="own_net"))
    with pytest.raises(InputError, match=r"unknown model 'own_net'; .* \(or is its plug-in missing\? --plugin, or"):
        make_plan(load_suite(write(model={"name": "own_net"})), tmp_path / "small.yaml")
    monkeypatch.chdir("/")
    path = write(model={"name": "own_net"}, plugins=["nets/mine.py"])
    suite = load_suite(path)
    assert suite.plugins == (str(tmp_path / "nets" / "mine.py"),)  # as a worker finds it from anywhere
    assert make_plan(suite, path).cells[0].config["model"] == {"name": "own_net", "width": 3}


@pytest.mark.parametrize(
    ("plugins", "says"),
    [
        (["nowhere.py"], "nowhere.py: no such file; give a .py file or the name of an installed module"),
        (["nothing_of_this_name"], "plug-in 'nothing_of_this_name' cannot be loaded"),
        ("mine.py", "'plugins': input should be a list"),
        ([3], "'plugins.0': input should be a valid string, got 3"),
    ],
)
def test_plug_ins_of_a_suite_that_are_not_there(write: Write, plugins: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load_suite(write(plugins=plugins))
    assert says in str(caught.value)


METRIC = (
    "from vitmem.registry import METRICS\n"
    "@METRICS.register('{name}', protocols=('{protocols}',))\n"
    "def mine(predictions, base):\n    return {body}\n"
)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{'x': 1 / 0}", r"metric 'mine' failed: ZeroDivisionError: division by zero \(mine.py:4\)"),
        ("{'x': float('nan')}", "metric 'mine': 'x' is nan; leave out undefined values"),
        ("3", "metric 'mine' failed: AttributeError"),
        ("{'x': 'much'}", "metric 'mine' failed: ValueError: could not convert string to float"),
        ("__import__('sys').exit(0)", r"metric 'mine': it calls sys.exit\(0\) where it should .* \(mine.py:4\)"),
        ("{'memorized': 1.0}", "gives 'memorized', which another metric gives too"),
    ],
)
def test_a_metric_that_fails_is_found_before_anything_is_trained(
    write: Write, tmp_path: Path, body: str, says: str
) -> None:
    (tmp_path / "mine.py").write_text(METRIC.format(name="mine", protocols="image", body=body))
    path = write(plugins=["mine.py"])
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    with pytest.raises(InputError, match=says):
        run_suite(make_plan(load_suite(path), path), places, tmp_path / "results")
    assert not (tmp_path / "store" / "training").exists()


@pytest.mark.parametrize("protocol", ["image", "text", "passages", "windows"])
def test_metrics_that_hold_on_made_up_predictions_of_each_kind(tmp_path: Path, protocol: str) -> None:
    try_metrics(protocol)
    (tmp_path / "mine.py").write_text(METRIC.format(name="mine", protocols=protocol, body="{'own': 0.5}"))
    load_plugins([str(tmp_path / "mine.py")])
    try_metrics(protocol)
    (tmp_path / "other.py").write_text(METRIC.format(name="o", protocols=protocol, body="{}['x']"))
    load_plugins([str(tmp_path / "other.py")])
    with pytest.raises(InputError, match=r"metric 'o' failed: KeyError: 'x' \(other.py:4\)"):
        try_metrics(protocol)


LEAVES = """
import sys, torch
from torch import nn
from vitmem.models.base import VisionModel
from vitmem.registry import EDITS, MODELS

class Exit(nn.Module):
    def forward(self, x):
        sys.exit(0)

@MODELS.register("leaving")
def leaving(shape):
    block = nn.Sequential(nn.Linear(shape.channels * shape.size**2, 8), nn.ReLU())
    net = nn.Sequential(nn.Flatten(), block, Exit())
    return VisionModel(net, blocks=("1",), layers=("0",), positions="all", prefix_tokens=0)

@EDITS.register("leave")
def leave(context):
    sys.exit(0)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_what_calls_exit_is_a_failed_row_and_the_others_go_on(write: Write, tmp_path: Path, workers: int) -> None:
    (tmp_path / "leaves.py").write_text(LEAVES)
    vit = {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1}
    path = write(
        plugins=["leaves.py"],
        seeds=[0],
        data={"name": "digits", "train": 60, "validation": 20},
        noise={"name": "symmetric", "rate": 0.2},
        recipe={"epochs": 1, "batch_size": 30, "precision": "32", "warmup_epochs": 0},
        model=[vit, {"name": "leaving"}],
        edits=[{"method": "none"}, {"method": "leave", "blocks": "last"}],
    )
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    run_suite(make_plan(load_suite(path), path), places, tmp_path / "results", workers=workers)
    rows = read_rows(rows_path(tmp_path / "results", "small"))
    found = {(r["config"]["model"]["name"], r["config"]["edit"]["method"]): r.get("reason") for r in rows}
    assert found.pop(("vit", "none")) is None
    assert "method 'leave': it calls sys.exit(0) where it should" in str(found.pop(("vit", "leave")))
    assert len(found) == 2 and all("it calls sys.exit(0)" in str(why) for why in found.values())


PROTOCOL = '''
from vitmem.registry import DATA, MODELS, PROTOCOLS

@PROTOCOLS.register("mine")
def mine(training, places):
    """Images in a way of one's own."""
    (places.cache_dir / "opened").write_text(training.id)
    return PROTOCOLS.get("image")().open(training, places)

DATA.register("mine", protocol="mine")(DATA.get("digits").defined_by())
MODELS.register("mine", protocols=("mine",))(MODELS.get("residual_mlp").defined_by())
'''


def test_a_protocol_of_ones_own_prepares_trainings(write: Write, tmp_path: Path) -> None:
    (tmp_path / "protocol.py").write_text(PROTOCOL)
    path = write(
        plugins=["protocol.py"],
        seeds=[0],
        data={"name": "mine"},
        noise=None,
        recipe={"epochs": 1, "batch_size": 300, "precision": "32", "warmup_epochs": 0},
        model={"name": "mine", "width": 8, "hidden": 8, "depth": 1, "patch_size": 4},
        edits=[{"method": "none"}, {"method": "svd", "blocks": "all", "rank_fraction": 0.5}],
    )
    (tmp_path / "cache").mkdir()
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    plan = make_plan(load_suite(path), path)
    assert run_suite(plan, places, tmp_path / "results").failed == 0
    assert (tmp_path / "cache" / "opened").read_text() == plan.cells[0].training.id
    other = write(
        plugins=["protocol.py"], seeds=[0], model={"name": "mine", "width": 8, "depth": 1}, edits=[{"method": "none"}]
    )
    with pytest.raises(InputError, match=r"is image, model 'mine' reads mine; 'vitmem list models' names others"):
        make_plan(load_suite(other), other)

"""Entries as people write them: a function or a class, in a file or installed, with its facts and its parameters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from vitmem.contents import FilePath
from vitmem.edits.base import ByStrength, EditContext, EditResult
from vitmem.edits.kfac import Kfac
from vitmem.edits.magnitude import Magnitude
from vitmem.entries import Edit
from vitmem.errors import InputError, VitmemError
from vitmem.noise.base import NoiseContext
from vitmem.registry import EDITS, MODELS, NOISES, REGISTRIES, edit_of
from vitmem.reports.naming import title_of

KINDS = ("models", "datasets", "noise", "edits", "metrics")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    for registry in REGISTRIES.values():
        registry.entries()
    before = {kind: set(registry._entries) for kind, registry in REGISTRIES.items()}
    yield
    for kind, registry in REGISTRIES.items():
        for name in set(registry._entries) - before[kind]:
            registry.discard(name)


def test_a_function_is_an_entry_with_bounds_and_defaults() -> None:
    @EDITS.register("halve", uses="data-free")
    def halve(context: EditContext, *, share: Annotated[float, Field(gt=0, le=1)] = 0.5) -> EditResult:
        """Halve. More is said here."""
        return EditResult(passes=share)

    entry = EDITS.get("halve")
    assert entry.summary == "Halve. More is said here" and entry.version == 1 and entry.role == "method"
    assert entry.parse({}, "suite").edit(None) == EditResult(passes=0.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"suite \(method 'halve'\): 'share': input should be less than or equal to 1"):
        entry.parse({"share": 2}, "suite")
    assert entry.defined_by() is halve and not entry.built_in()


def test_a_class_is_an_entry_of_its_own() -> None:
    @EDITS.register("zeros", version=3)
    class Zeros(Magnitude):
        """Zeros."""

        exactly_one = ("share", *ByStrength.exactly_one)
        share: float | None = None

    assert EDITS.get("zeros") is Zeros and Zeros.version == 3
    with pytest.raises(ValidationError, match="give exactly one of 'share', 'match_drop' and 'match_loss'"):
        Zeros(share=0.1, match_drop=0.1)


def test_a_class_of_a_registered_parent_has_a_name_and_a_summary_of_its_own() -> None:
    @EDITS.register("own")
    class Own(Kfac):
        """Another edit."""

    assert (Own.summary, Own.title, title_of("own")) == ("Another edit", None, "own")
    assert (Kfac.title, title_of("kfac")) == ("K-FAC", "K-FAC")


@pytest.mark.parametrize(("statistics", "moments"), [(False, None), (True, "plain"), ("coupled", "coupled")])
def test_a_function_says_which_statistics_it_reads(statistics: object, moments: str | None) -> None:
    EDITS.register("reads", statistics=statistics)(lambda context: EditResult())
    needs = EDITS.get("reads")().needs
    assert (needs and needs.moments) == moments


def test_what_is_wrong_with_an_entry_is_said() -> None:
    with pytest.raises(InputError, match="unknown fact of method 'x' 'titel'; did you mean 'title'"):
        EDITS.register("x", titel="X")(lambda context: None)
    with pytest.raises(InputError, match="the parameter 'version' has a name that all entries use"):

        @EDITS.register("y")
        def y(context: EditContext, *, version: int = 1) -> None: ...

    with pytest.raises(InputError, match="method 'kfac' is registered already"):
        EDITS.register("kfac")(lambda context: None)
    with pytest.raises(InputError, match="expected a subclass of Noise or a function, got the class Kfac"):
        NOISES.register("z")(Kfac)


def test_a_function_gets_the_path_of_a_file(tmp_path: Path) -> None:
    @NOISES.register("from_file")
    def from_file(clean: object, context: NoiseContext, rng: object, *, table: FilePath | None = None) -> str | None:
        return table

    (tmp_path / "t.csv").write_text("1")
    context = NoiseContext("digits", 10, data_dir=tmp_path)
    noise = NOISES.get("from_file").parse({"table": "t.csv"}, "suite")
    known = noise.model_copy(update={"table": noise.table.known(tmp_path)})  # type: ignore[attr-defined]
    assert known.draw(None, context, None) == str(tmp_path / "t.csv")
    assert NOISES.get("from_file").parse({}, "suite").draw(None, context, None) is None


def test_an_exit_of_an_entry_ends_no_run() -> None:
    @EDITS.register("exits")
    def exits(context: EditContext) -> EditResult:
        sys.exit(3)

    with pytest.raises(VitmemError, match=r"method 'exits': it calls sys.exit\(3\)"):
        EDITS.get("exits")().edit(None)  # type: ignore[arg-type]


def test_an_edit_of_a_config_is_made_once() -> None:
    config = {"method": "kfac", "blocks": "all", "layers": ["mlp.fc1"], "fraction": 0.1}
    assert edit_of(config) is edit_of(dict(config)) and edit_of(config) == Kfac(fraction=0.1)
    assert isinstance(edit_of({"method": "none"}), Edit)


def test_a_plug_in_that_fails_takes_no_built_in_entry_with_it(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(
        "from vitmem.registry import NOISES\nNOISES.get('pair')\nraise ValueError('no')\n"
    )
    program = (
        "from vitmem.bench.plugins import load_plugins\nfrom vitmem.errors import InputError\n"
        "from vitmem.registry import NOISES\n"
        f"try:\n    load_plugins([{str(tmp_path / 'fails.py')!r}])\nexcept InputError as error:\n    print(error)\n"
        "print(NOISES.get('symmetric').name)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said, name = out.stdout.splitlines()
    assert "cannot be loaded: ValueError: no" in said and name == "symmetric"


@pytest.mark.parametrize(
    ("blocks", "parsed"), [(None, None), ("blocks.*", ("blocks.*",)), (["a", "b"], ("a", "b"))], ids=str
)
def test_patterns_of_a_network_may_stand_alone_or_be_left_out(blocks: object, parsed: object) -> None:
    assert MODELS.get("timm/test_vit").parse({"blocks": blocks}, "model").model_dump()["blocks"] == parsed
    with pytest.raises(InputError, match="'blocks'"):
        MODELS.get("timm/test_vit").parse({"blocks": []}, "model")


INSTALLED = """[vitmem.edits]
clip = clip_plugin:clip
ghost = clip_plugin:other
[vitmem.noise]
broken = no_such_module:x
"""
PLUGIN = """import sys
from vitmem.registry import EDITS
sys.loaded = True
@EDITS.register('clip', summary='clips')
def clip(context, *, deviations: float = 2.0): ...
other = 1
"""
PROGRAM = """import sys
from vitmem.errors import InputError
from vitmem.registry import EDITS, NOISES
EDITS.get('kfac'); NOISES.get('pair')
assert not hasattr(sys, 'loaded')
print(EDITS.get('clip').summary)
for registry, name in ((EDITS, 'ghost'), (EDITS, 'clipp'), (NOISES, 'broken')):
    try:
        registry.get(name)
    except InputError as error:
        print(error)
"""


def test_an_installed_plug_in_costs_nothing_until_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip_plugin.py").write_text(PLUGIN)
    info = tmp_path / "clip_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clip-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(INSTALLED)
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM}"],
        capture_output=True,
        text=True,
        check=False,
    )
    clip, ghost, near, broken = out.stdout.splitlines() or [out.stderr]
    assert clip == "clips" and "registers no method of that name" in ghost
    assert "did you mean 'clip'?" in near and "plug-in 'broken' cannot be loaded" in broken


@pytest.mark.parametrize("kind", KINDS)
def test_entries_are_listed_without_heavy_libraries(kind: str) -> None:
    program = (
        "import sys\nfrom vitmem.registry import REGISTRIES\n"
        f"[r.entries() for r in REGISTRIES.values() if r.folder == 'vitmem.{kind}']\n"
        "heavy = ('torch', 'torchvision', 'timm', 'lightning', 'transformers', 'sklearn')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_built_in_entry_says_what_it_is() -> None:
    for registry in REGISTRIES.values():
        for entry in registry.entries():
            assert entry.summary and "\n" not in entry.summary and entry.version >= 1, entry.name

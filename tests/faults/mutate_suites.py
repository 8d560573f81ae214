"""Suites with one to three things wrong, in their structure or in their letters, and what becomes of each.

Usage: mutate_suites.py FOLDER COUNT [SEED]. Suites of ``configs`` are changed at random, planned as ``vitmem plan``
does, and counted: plans, sentences (an InputError of one line and at most 400 characters), others (any other end) and
slow ones (more than two seconds). Each of the last two is printed with what was done to the suite.
"""

from __future__ import annotations

import copy
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from vitmem.bench.plan import make_plan
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError

ROOT = Path(__file__).parents[2]
# Those that are planned in hundredths of a second; of the others there is nothing new to learn in seconds.
BASES = sorted(
    path
    for path in [*(ROOT / "configs" / "suites").glob("*.yaml"), *(ROOT / "tests" / "bench").glob("tiny*.yaml")]
    if path.stem not in ("variants_cifar10_small", "regime_small", "cifar10_noise10", "cifar100_noise10")
    and not path.stem.startswith("fashion_tokens")
)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
DEEP: Any = 1
for _ in range(30):
    DEEP = [DEEP]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 0.5, -0.1, 1e-30, 1e30, 1e308, 2**31, 2**62, 10**30, 10**400,
    float("nan"), float("inf"), "", " ", "x", "none", "yes", "0,1", "1e-3", "017", "10:30", "$HOME", "~", "/dev/zero",
    "../..", "'", '"', "\\", "{{x}}", "[red]", "ä", "\U0001f600", "e\u0301", "a\nb", "\x00", "x" * 300, "y" * 20_000,
    "timm/x", "vit/x", "torchvision/vgg11", "last", "all", "kfac", "symmetric", "without_noisy", "nowhere.py",
    [], {}, [[]], [{}], [None], [True], [0, 0], [1, 2, 3], [1.5], ["a", "a"], [[0, 1], [1]], {"name": "vit"},
    {"name": ["vit", "vit"]}, {"method": "kfac"}, {"x": {"y": [1]}}, DEEP, list(range(1500)),
]  # fmt: skip
BOMB = "&b0 [x, x, x, x, x, x, x, x, x, x]"
LETTERS = [*"\t\n :-,[]{}&*!#|>'\"%@`?~\\\x00\x07\x7f\u2028\ufeff$0123456789.eE_<=", "---\n", "<<: ", "!!", "- "]
NAMES: list[Any] = ["", 1, None, True, "x" * 500]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value inside ``value``, lists and mappings included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the value at ``path``."""
    for key in path:
        value = value[key]
    return value


def change_structure(content: Any, rng: random.Random) -> str:
    """Change one value, key or pair of values of ``content`` in place; return what was done."""
    found = list(places(content))
    if not found:
        return "nothing left"
    path = rng.choice(found)
    parent, key = at(content, path[:-1]), path[-1]
    what = rng.choice(["value", "value", "value", "delete", "rename", "double", "swap", "wrap", "grow"])
    if what == "value":
        parent[key] = copy.deepcopy(rng.choice(VALUES))
    elif what == "delete":
        del parent[key]
    elif what == "rename" and isinstance(parent, dict):
        parent[rng.choice([str(key)[:-1], f"{key}s", str(key).upper(), *NAMES])] = parent.pop(key)
    elif what == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif what == "swap":
        other = rng.choice(found)
        if other[: len(path)] != path and path[: len(other)] != other:
            one, two = copy.deepcopy(at(content, path)), copy.deepcopy(at(content, other))
            parent[key], at(content, other[:-1])[other[-1]] = two, one
    elif what == "wrap":
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"name": parent[key]}
    else:
        parent[key] = [copy.deepcopy(rng.choice(VALUES)) for _ in range(rng.randint(2, 5))]
    return f"{what} at {'.'.join(map(str, path))}"


def change_letters(text: str, rng: random.Random) -> tuple[str, str]:
    """Return ``text`` with letters changed, a line twice or a bomb in it, and what was done."""
    what = rng.choice(["cut", "flip", "flip", "insert", "insert", "line twice", "line out", "bomb", "indent", "tab"])
    place, lines = rng.randrange(len(text) + 1), text.splitlines(keepends=True) or [""]
    line = rng.randrange(len(lines))
    if what == "cut":
        text = text[:place]
    elif what == "flip":
        text = text[:place] + rng.choice([*LETTERS, chr(rng.randrange(1, 0x3000))]) + text[place + 1 :]
    elif what == "insert":
        text = text[:place] + rng.choice(LETTERS) * rng.choice([1, 1, 2, 50, 5000]) + text[place:]
    elif what == "line twice":
        text = "".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])
    elif what == "line out":
        text = "".join([*lines[:line], *lines[line + 1 :]])
    elif what == "bomb":
        levels = "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 10)}]\n" for i in range(1, rng.randint(3, 12)))
        text = f"b0: {BOMB}\n{levels}{text}" if rng.random() < 0.5 else text.replace(": ", f": {BOMB} ", 1)
    else:
        lines[line] = (" " if what == "indent" else "\t") + lines[line]
        text = "".join(lines)
    return text, f"{what} at {line if 'line' in what else place}"


def mutants(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield ``count`` texts of suites with something wrong, and what was done to each."""
    rng = random.Random(seed)
    texts = {path.stem: path.read_text() for path in BASES}
    contents = {name: {**yaml.safe_load(text), "seeds": [0]} for name, text in texts.items()}
    for _ in range(count):
        name, done = rng.choice(sorted(texts)), []
        text = texts[name]
        if rng.random() < 0.7:
            content = copy.deepcopy(contents[name])
            done = [change_structure(content, rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
            text = yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=10**6)
        if not done or rng.random() < 0.1:
            text, what = change_letters(text, rng)
            done.append(what)
        yield text, f"{name}: {', '.join(done)}"


def outcome(work: Callable[[], object]) -> tuple[str, str]:
    """Return how ``work`` ends (``plan``, ``sentence``, ``other`` or ``slow``) and what it said."""
    started, said, kind = time.process_time(), "", "plan"
    try:
        work()
    except InputError as error:
        said, kind = str(error), "sentence"
        if not said or not said.isprintable() or len(said) > 400:
            kind = "other"
    except BaseException as error:  # an exit and a memory error count as much as a traceback
        said, kind = f"{type(error).__name__}: {str(error)[:300]}", "other"
    return ("slow" if time.process_time() - started > 2 else kind), said


def plan(path: Path, text: str) -> None:
    """Plan the suite ``text``, written to ``path``."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert make_plan(load_suite(path), path).cells


def try_all(folder: Path, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Plan ``count`` mutants inside ``folder``; return the counts and a line for each that ends badly."""
    shutil.copytree(ROOT / "configs" / "recipes", folder / "recipes")
    (folder / "suites").mkdir()
    counts: Counter[str] = Counter()
    bad = []
    for text, done in mutants(count, seed):
        kind, said = outcome(lambda text=text: plan(folder / "suites" / "suite.yaml", text))
        counts[kind] += 1
        if kind in ("other", "slow"):
            bad.append(f"{kind}: {done[:200]}: {said}")
    return counts, bad


def main(folder: Path, count: int, seed: int) -> int:
    counts, bad = try_all(folder, count, seed)
    print("\n".join(bad))
    print(f"{count} suites: {', '.join(f'{counts[kind]} {kind}' for kind in ('plan', 'sentence', 'other', 'slow'))}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))

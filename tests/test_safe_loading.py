"""No call of the package leaves it to a dependency's default whether code in a file, or beside it, is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vitmem"
# The last part of a call's name -> what it has to be told.
TOLD = {
    "from_pretrained": {"trust_remote_code": False},
    "from_config": {"trust_remote_code": False},
    "HFLM": {"trust_remote_code": False},
    "simple_evaluate": {"confirm_run_unsafe_code": False},
    "get_state_dict": {"weights_only": True, "check_hash": True},
}
EXACT = {
    "torch.load": {"weights_only": True},
    "np.load": {"allow_pickle": False},
    "numpy.load": {"allow_pickle": False},
    "transformers.AutoModelForCausalLM.from_pretrained": {"use_safetensors": True},
}
NEVER = (
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "joblib.load", "cloudpickle.load"),
    *("marshal.load", "marshal.loads", "shelve.open", "pd.read_pickle", "torch.hub.load", "yaml.unsafe_load"),
    *("yaml.full_load", "yaml.load_all", "torch.hub.load_state_dict_from_url", "torch.jit.load", "eval", "exec"),
)


def unsafe(text: str) -> Iterator[str]:
    """Yield each call of a module's ``text`` that may run code, with its line."""
    tree = ast.parse(text)
    safe_loaders = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("SafeLoader" in ast.unparse(base) for base in node.bases)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if name == "yaml.load" and given.get("Loader", "").rpartition(".")[2] in {*safe_loaders, "SafeLoader"}:
            continue
        if name in (*NEVER, "yaml.load"):
            yield f"{node.lineno}: {name}"
        for key, value in {**TOLD.get(name.rpartition(".")[2], {}), **EXACT.get(name, {})}.items():
            if given.get(key) != str(value):
                yield f"{node.lineno}: {name} without {key}={value}"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_code_in_a_file_is_run(file: Path) -> None:
    assert not list(unsafe(file.read_text()))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=weights_only)",
        "np.load(path)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "pickle.loads(data)",
        "transformers.AutoConfig.from_pretrained(path)",
        "weights.get_state_dict(weights_only=True)",
        "transformers.AutoModelForCausalLM.from_pretrained(path, trust_remote_code=False)",
        "transformers.AutoModelForCausalLM.from_config(config)",
        "torch.hub.load(repo, name)",
    ],
)
def test_what_would_be_found(line: str) -> None:
    assert len(list(unsafe(line))) == 1

"""House rules that a reader can rely on: short files, documented public names, quiet imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vitmem"
FILES = sorted(PACKAGE.rglob("*.py"))


def public(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the module, its public functions and classes, and the public methods of those."""
    yield tree
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield inner


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short_and_what_is_public_is_documented(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    if text.strip():
        bare = [getattr(node, "name", "module") for node in public(ast.parse(text)) if not ast.get_docstring(node)]
        assert not bare


def test_functions_on_tensors_give_shapes() -> None:
    """A public function that takes or returns a tensor or an array says of what shape: ``(N, K)``, ``(p,)``."""
    silent = []
    for path in FILES:
        for node in public(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            annotations = [a.annotation for a in [*node.args.args, *node.args.kwonlyargs] if a.annotation]
            annotations += [node.returns] if node.returns else []
            if any(re.search(r"\b(Tensor|NDArray|ndarray)\b", ast.unparse(a)) for a in annotations):
                doc = ast.get_docstring(node) or ""
                if not re.search(r"\(\w+(,| \+)|scalar", doc):
                    silent.append(f"{path.relative_to(PACKAGE)}:{node.name}")
    assert not silent


@pytest.mark.parametrize("folder", ["datasets", "language/datasets", "noise"])
def test_entries_are_found_without_torch(folder: str) -> None:
    names = [f"vitmem.{folder.replace('/', '.')}.{file.stem}" for file in sorted((PACKAGE / folder).glob("*.py"))]
    heavy = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "transformers", "sklearn", "matplotlib")
    program = (
        f"import importlib, sys\nfor name in {names}:\n    importlib.import_module(name)\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_importing_the_package_is_light() -> None:
    program = "import sys, vitmem; print([m for m in ('torch', 'numpy', 'pydantic', 'typer') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_package_is_imported_where_unix_has_no_part_in_it() -> None:
    """Windows has neither ``fcntl`` nor ``resource``; what installed packages import of them is not ours."""
    script = (
        "import importlib, pkgutil, sys\n"
        "import filelock, lightning, timm, torch, torchvision\n"
        "sys.modules['fcntl'] = sys.modules['resource'] = None\n"
        "import vitmem\n"
        "for module in pkgutil.walk_packages(vitmem.__path__, 'vitmem.'):\n"
        "    if module.name != 'vitmem.__main__':\n"
        "        importlib.import_module(module.name)\n"
        "from vitmem.bench.stages import peak_memory\n"
        "assert peak_memory(torch.device('cpu')) == 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

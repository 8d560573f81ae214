"""A pretrained language model with its tokenizer: from a folder, a hub, or a package."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from vitmem.contents import SourcePath
from vitmem.errors import InputError
from vitmem.files import expand, short_name
from vitmem.language.models.base import LanguageModel
from vitmem.language.models.language_layers import Role, language_blocks, mlp_layers
from vitmem.language.models.skeleton import why_not
from vitmem.lazy import extra, torch
from vitmem.registry import MODELS


@dataclass
class PretrainedModel(LanguageModel):
    """A causal model with its ``tokenizer``."""

    tokenizer: Any = None


@MODELS.register(
    "pretrained",
    summary="a language model from a folder, the Hub or a package (needs vitmem[lm])",
    protocols=("passages", "windows", "planted"),
    trained=True,
)
def pretrained(
    data_dir: Path | None,
    *,
    source: SourcePath,
    gguf: str | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    roles: tuple[Role, ...] = ("gate", "up"),
) -> PretrainedModel:
    """Load ``source`` in ``dtype``: a folder (relative to ``data_dir`` or absolute), ``package:<name>``, or a Hub name.

    ``gguf`` names a quantised file in it (a package may define its own), which is de-quantised: state this with any
    result. ``roles`` names the matrices of an MLP that are edited. Raises InputError when nothing can be loaded; only
    safetensors and GGUF are read, nothing is unpickled.
    """
    return load_in(data_dir, source, gguf, dtype, roles)


def load_in(
    data_dir: Path | None, source: str, gguf: str | None, dtype: str, roles: tuple[Role, ...]
) -> PretrainedModel:
    """Return the model of ``source`` in ``dtype``, the name of a torch dtype; see ``pretrained``."""
    net, tokenizer = load(data_dir, source, gguf, getattr(torch, dtype))
    blocks = tuple(language_blocks(net))
    layers = tuple(path.removeprefix(f"{blocks[0]}.") for path in mlp_layers(net, 0, roles))
    return PretrainedModel(net, blocks, layers, tokenizer)


def load(
    data_dir: Path | None, source: str, gguf: str | None = None, dtype: torch.dtype | None = None
) -> tuple[Any, Any]:
    """Return the model in eval mode and the tokenizer of ``source``; see ``pretrained``."""
    transformers = extra("transformers", "lm")
    place, gguf = _place(data_dir, source, gguf)
    options: dict[str, Any] = {} if gguf is None else {"gguf_file": gguf}
    for needed in ("gguf", "accelerate") if gguf is not None else ():
        extra(needed, "lm")
    try:
        # hide progress bars over tensors, one of which ignores the library's own switch
        with redirect_stderr(StringIO()):
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False, **options)
            loaded = transformers.AutoModelForCausalLM.from_pretrained(
                place, dtype=dtype or torch.float32, trust_remote_code=False, use_safetensors=True, **options
            )
    except Exception as error:  # a damaged file may raise almost any error in transformers, tokenizers, safetensors
        raise InputError(f"model 'pretrained': cannot load '{short_name(source)}': {why_not(error)}") from None
    return loaded.eval(), tokenizer


def _place(data_dir: Path | None, source: str, gguf: str | None) -> tuple[str, str | None]:
    """Return the source for transformers, and the GGUF file in it."""
    if source.startswith("package:"):
        return _inside(source.removeprefix("package:"), gguf)
    place = expand(source)
    if data_dir is not None and (data_dir / place).is_dir():
        return str(data_dir / place), gguf
    return str(place), gguf


def _inside(name: str, gguf: str | None) -> tuple[str, str | None]:
    """Return the folder of a package and the GGUF file in it; the package is imported only to get that file."""
    try:
        spec = importlib.util.find_spec(name)
        module = importlib.import_module(name) if spec is not None and gguf is None else None
    except (ImportError, ValueError) as error:
        raise InputError(
            f"model 'pretrained': package '{name}' cannot be imported ({error}); install what it needs, or name its "
            "file with 'gguf'"
        ) from None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"model 'pretrained': there is no package '{name}'; install it")
    if module is not None and callable(getattr(module, "assemble", None)):
        whole = Path(module.assemble())  # a package may have its model in parts
        return str(whole.parent), whole.name
    return str(spec.submodule_search_locations[0]), gguf

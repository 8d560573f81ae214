"""A causal transformers model without weights: classes, names and shapes from its config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, one_line
from vitmem.lazy import extra, torch


def why_not(error: Exception) -> str:
    """Return why transformers did not load a model; its own text on custom code advises to run that code."""
    if "trust_remote_code" in str(error):
        return "it needs code that lies beside it, and such code is not run; take a model of transformers' own classes"
    return one_line(error)


def skeleton_of(source: Path | str | Mapping[str, Any]) -> torch.nn.Module:
    """Return the model of a config on the ``meta`` device, without weights.

    ``source`` is a folder with config.json, a name on the Hub, or the config's own keys, including ``model_type``. The
    class of a layer determines the layout of its weight, which its shape does not. Raises InputError for a config that
    is missing or of a class unknown to transformers; code in the model's folder is not run.
    """
    transformers = extra("transformers", "lm")
    name = source.get("model_type") if isinstance(source, Mapping) else source
    try:
        if isinstance(source, Mapping):
            config = transformers.AutoConfig.for_model(**source)
        else:
            config = transformers.AutoConfig.from_pretrained(str(source), trust_remote_code=False)
        with torch.device("meta"):
            model: torch.nn.Module = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # a damaged file may raise almost any error in transformers, tokenizers, safetensors
        raise InputError(f"{name}: no config of a causal model of transformers: {why_not(error)}") from None
    return model

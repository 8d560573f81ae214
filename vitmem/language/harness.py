"""Evaluate a live language model, edited or not, on tasks of lm-evaluation-harness, also offline."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import nn

from vitmem.errors import InputError, near_names, one_line
from vitmem.kfac import model_fingerprint
from vitmem.kfac.layers import eval_mode
from vitmem.language.harness_scores import Scores, scores_of
from vitmem.lazy import extra
from vitmem.parsing import read_yaml
from vitmem.shipped import shipped
from vitmem.specs import Spec, explain

PRESETS = shipped("lm_eval")


class Family(Spec):
    """Tasks of one skill; ``missing`` are those not in lm-eval, unless the user's folder has them."""

    tasks: tuple[str, ...]
    missing: tuple[str, ...] = ()


class Preset(Spec):
    """A list of tasks by family."""

    about: str = ""
    families: dict[str, Family] = Field(min_length=1)

    def tasks(self, own: Sequence[str] = ()) -> dict[str, str]:
        """Return task -> family, including missing ones that are in ``own``."""
        return {
            task: name
            for name, family in self.families.items()
            for task in (*family.tasks, *(t for t in family.missing if t in own))
        }

    def missing(self, own: Sequence[str] = ()) -> list[str]:
        """Return the tasks that are neither in lm-eval nor in ``own``."""
        return [task for family in self.families.values() for task in family.missing if task not in own]


def load_preset(name: str) -> Preset:
    """Read a preset by its path, or by its name in ``configs/lm_eval``; raises InputError for an invalid one."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.yaml"))) or "none"
        raise InputError(f"--preset: no file {path}; presets: {known}")
    try:
        return Preset.model_validate(read_yaml(path))
    except ValidationError as error:
        raise InputError(explain(error, str(path), Preset)) from None


def own_tasks(include: Path | None) -> list[str]:
    """Return the names of the tasks in a folder; raises InputError when it is missing or has none."""
    if include is None:
        return []
    if not include.is_dir():
        raise InputError(f"--include: no such folder: {include}")
    names: list[str] = _manager(include, defaults=False).all_tasks
    if not names:
        raise InputError(f"--include: no task of lm-eval in {include}; expected YAML files with a key 'task'")
    return names


def evaluate_tasks(
    net: nn.Module,
    tokenizer: Any,
    tasks: Sequence[str],
    *,
    model: str,
    include: Path | None = None,
    limit: int | None = None,
    batch_size: int = 1,
) -> Scores:
    """Return the scores of a causal transformers model, in its current state, on ``tasks`` of lm-eval.

    ``model`` is its name in the scores. Tasks of the folder ``include`` take precedence; if it has all, the built-in
    ones are not indexed. ``limit`` is the number of questions per task (``None``: all). The model's modes, its
    tokenizer and the global generators are restored. Raises InputError for a task that is missing, cannot be loaded or
    fails.
    """
    harness = extra("lm_eval", "lm-eval")
    wrapper = extra("lm_eval.models.huggingface", "lm-eval").HFLM
    manager = _manager_of(tasks, include)
    with eval_mode(net), _generators_kept():
        live = wrapper(
            pretrained=net,
            backend="causal",
            tokenizer=copy.deepcopy(tokenizer),
            batch_size=batch_size,
            trust_remote_code=False,
        )
        try:
            results = harness.simple_evaluate(
                model=live,
                tasks=list(tasks),
                task_manager=manager,
                limit=limit,
                bootstrap_iters=0,
                log_samples=True,
                confirm_run_unsafe_code=False,
            )
        except (OSError, ValueError, KeyError, ImportError, AssertionError) as error:
            raise InputError(f"lm-eval: {', '.join(tasks)}: {one_line(error)}") from error
    return scores_of(results, model=model, weights=model_fingerprint(net), lm_eval=harness.__version__, limit=limit)


def _manager_of(tasks: Sequence[str], include: Path | None) -> Any:
    """Return the index that has all ``tasks``: that of the folder only, or with the built-in ones."""
    if set(tasks) <= set(own_tasks(include)):
        return _manager(include, defaults=False)
    manager = _manager(include, defaults=True)
    for name in tasks:
        if name not in manager.task_index:
            near = near_names(name, manager.all_tasks, 3)
            hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "'lm-eval ls tasks' lists them"
            raise InputError(f"unknown task '{name}'; {hint}")
    return manager


def _manager(include: Path | None, defaults: bool) -> Any:
    return extra("lm_eval.tasks", "lm-eval").TaskManager(
        include_path=None if include is None else str(include), include_defaults=defaults
    )


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Restore the global generators, which lm-eval seeds."""
    plain, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(array)

"""Results of lm-evaluation-harness: values and every answer, compared with those of a base. Does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat

from pydantic import Field, ValidationError

from vitmem.errors import InputError
from vitmem.files import read_text, short_name, write_text
from vitmem.parsing import parse_json
from vitmem.specs import Spec, digest, explain

# Maximum size of a file with every answer: more than a suite has.
LARGEST = 2**31
WRITTEN = "expected what 'vitmem lm-eval --out' writes"


class Sample(Spec):
    """One question with one answer filter: ``prompt`` is a digest of the prompt, ``said`` the answer."""

    id: int
    filter: str
    prompt: str
    metrics: dict[str, float]
    said: Any = None


class Scores(Spec):
    """Values and samples by task, with their settings.

    ``results`` are task -> ``metric,filter`` -> value; ``weights`` is the fingerprint of the model's weights, ``limit``
    the maximum number of questions of a task. ``higher_is_better`` is ``None`` if lm-eval does not define it.
    ``digest`` is that of the rest of a file.
    """

    model: str
    weights: str
    lm_eval: str
    limit: int | None = None
    versions: dict[str, Any] = Field(default_factory=dict)
    fewshot: dict[str, int | None] = Field(default_factory=dict)
    higher_is_better: dict[str, dict[str, bool | None]] = Field(default_factory=dict)
    results: dict[str, dict[str, float]]
    samples: dict[str, list[Sample]]
    digest: str | None = None

    def save(self, path: Path) -> None:
        """Write everything with its digest to one JSON file, atomically."""
        sealed = self.model_copy(update={"digest": self._digest()})
        write_text(path, sealed.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read a file from ``save``; raises InputError when it is missing, invalid or modified."""
        name = short_name(path)
        content = parse_json(read_text(path, "what 'vitmem lm-eval --out' writes", limit=LARGEST), name, WRITTEN)
        try:
            scores = cls.model_validate(content)
        except ValidationError as error:
            raise InputError(explain(error, f"{name}: not what 'vitmem lm-eval --out' writes", cls)) from None
        if scores.digest not in (None, scores._digest()):  # older files have none
            raise InputError(f"{name}: it has changed since 'vitmem lm-eval' wrote it; evaluate the base again")
        return scores.model_copy(update={"digest": None})

    def _digest(self) -> str:
        return digest(self.model_dump(mode="json", exclude={"digest"}))


@dataclass(frozen=True)
class Change:
    """One value compared with the base's: ``retention`` = value / base, and the numbers of flipped answers.

    ``None``: the base lacks the value, its value is 0, lower is better, or the outcomes are not right or wrong.
    """

    task: str
    metric: str
    value: float
    base: float | None = None
    retention: float | None = None
    turned_wrong: int | None = None
    turned_right: int | None = None


def scores_of(found: Mapping[str, Any], *, model: str, weights: str, lm_eval: str, limit: int | None) -> Scores:
    """Return the finite scores in the result of ``lm_eval.simple_evaluate``."""
    values = {**found["results"], **found.get("groups", {})}
    results = {task: {k: v for k, v in _numbers(row).items() if "," in k} for task, row in values.items()}
    samples = {
        task: [
            Sample(
                id=one["doc_id"],
                filter=one["filter"],
                prompt=one["prompt_hash"],
                metrics=_numbers({name: one[name] for name in one["metrics"]}),
                said=one["filtered_resps"],
            )
            for one in rows
        ]
        for task, rows in found["samples"].items()
    }
    return Scores(
        model=model,
        weights=weights,
        lm_eval=lm_eval,
        limit=limit,
        versions=found["versions"],
        fewshot=found["n-shot"],
        higher_is_better=found["higher_is_better"],
        results={task: row for task, row in results.items() if row},
        samples=samples,
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of ``row``, without standard errors."""
    kept = {k: float(v) for k, v in row.items() if isinstance(v, SupportsFloat) and "_stderr" not in k}
    return {k: v for k, v in kept.items() if math.isfinite(v)}


def compare(scores: Scores, base: Scores | None = None) -> list[Change]:
    """Return a change for every value, in the order of the results.

    Raises InputError when the base was given other questions or other prompts.
    """
    out = []
    for task, row in scores.results.items():
        pairs = _paired(task, scores, base) if base and task in base.samples and task in scores.samples else []
        for key, value in row.items():
            metric, _, filter_ = key.partition(",")
            before = base.results.get(task, {}).get(key) if base else None
            better = scores.higher_is_better.get(task, {}).get(metric)
            outcomes = [
                (old.metrics.get(metric), new.metrics.get(metric)) for old, new in pairs if old.filter == filter_
            ]
            wrong, right = _flips(outcomes)
            retention = value / before if before and better else None
            out.append(Change(task, key, value, before, retention, wrong, right))
    return out


def _paired(task: str, scores: Scores, base: Scores) -> list[tuple[Sample, Sample]]:
    old = {(one.id, one.filter, one.prompt): one for one in base.samples[task]}
    new = {(one.id, one.filter, one.prompt): one for one in scores.samples[task]}
    if old.keys() != new.keys():
        raise InputError(
            f"base: task '{task}' was asked {len(old)} questions there and {len(new)} here, of which "
            f"{len(old.keys() & new.keys())} are the same; evaluate the base with the same tasks, --limit and lm-eval"
        )
    return [(one, new[key]) for key, one in old.items()]


def _flips(outcomes: list[tuple[float | None, float | None]]) -> tuple[int | None, int | None]:
    """Return the numbers of outcomes that went from 1 to 0 and from 0 to 1; ``None`` for non-binary outcomes."""
    if not outcomes or any(value not in (0.0, 1.0) for pair in outcomes for value in pair):
        return None, None
    return outcomes.count((1.0, 0.0)), outcomes.count((0.0, 1.0))

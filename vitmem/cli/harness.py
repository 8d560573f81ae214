"""``vitmem lm-eval``: tasks of lm-evaluation-harness on a model, with an optional comparison to a base."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from vitmem.cli.options import Device
from vitmem.errors import InputError
from vitmem.language.harness_scores import Change, Scores, compare
from vitmem.lazy import extra


def lm_eval(
    model: Annotated[str, typer.Argument(help="a folder, package:<name>, or a name on the Hub")],
    tasks: Annotated[str | None, typer.Option(help="names of lm-eval tasks, separated by commas")] = None,
    preset: Annotated[str | None, typer.Option(help="a list of tasks: merullo2025, or a YAML file")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="questions per task (default: all)")] = None,
    base: Annotated[Path | None, typer.Option(help="the --out file of the unedited model, for a comparison")] = None,
    out: Annotated[Path | None, typer.Option(help="write the values and every answer to this JSON file")] = None,
    include: Annotated[Path | None, typer.Option(help="a folder of your own tasks; vitmem runs code in it")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="questions per forward pass")] = 8,
    device: Device = "auto",
) -> None:
    r"""Evaluate a language model on tasks of lm-evaluation-harness (pip install 'vitmem\[lm-eval]').

    Example: vitmem lm-eval store/edited --preset merullo2025 --limit 200 --base store/base.json

    Example: vitmem lm-eval allenai/OLMo-2-0425-1B --tasks boolq,piqa --out base.json
    """
    from vitmem.language.harness import evaluate_tasks
    from vitmem.language.models.pretrained import load
    from vitmem.training.fit import pick_device

    extra("lm_eval", "lm-eval")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    before = None if base is None else _base(base, limit)
    families, missing = _chosen(tasks, preset, include)
    net, tokenizer = load(None, model)
    net.to(pick_device(device))
    scores = evaluate_tasks(
        net, tokenizer, list(families), model=model, include=include, limit=limit, batch_size=batch_size
    )
    if out is not None:
        scores.save(out)  # before the comparison, so that a bad --base loses no answers
    for line in _lines(compare(scores, before), families, before is not None):
        print(line)
    if missing:
        print(f"not in lm-eval: {', '.join(missing)}; --include FOLDER adds your own tasks of these names")
    if out is None:
        print("--out FILE keeps every answer, for --base of another model")
    else:
        print(f"wrote {out}; compare another model with it: vitmem lm-eval MODEL --base {out} and the same tasks")


def _base(path: Path, limit: int | None) -> Scores:
    base = Scores.load(path)
    if base.limit != limit:
        shown = "none" if base.limit is None else base.limit
        raise InputError(f"--base: {path} was made with --limit {shown}, this is --limit {limit or 'none'}")
    return base


def _chosen(tasks: str | None, preset: str | None, include: Path | None) -> tuple[dict[str, str], list[str]]:
    """Return task -> family (empty without one), and the missing tasks of a preset."""
    if (tasks is None) == (preset is None):
        raise InputError("lm-eval: expected either --tasks or --preset")
    from vitmem.language.harness import load_preset, own_tasks

    if preset is not None:
        chosen, own = load_preset(preset), own_tasks(include)
        return chosen.tasks(own), chosen.missing(own)
    names = [name.strip() for name in (tasks or "").split(",") if name.strip()]
    if not names:
        raise InputError(f"--tasks: expected names separated by commas, got '{tasks}'")
    return dict.fromkeys(names, ""), []


def _lines(changes: Sequence[Change], families: Mapping[str, str], beside: bool) -> list[str]:
    """Return the lines of a text table with aligned columns, one line per value."""
    by_family = any(families.values())
    head = [*(["family"] if by_family else []), "task", "metric", "value"]
    head += ["base", "retention", "right->wrong", "wrong->right"] if beside else []
    rows = [head]
    for one in changes:
        row = [*([families.get(one.task, "")] if by_family else []), one.task, one.metric, _number(one.value, ".4f")]
        if beside:
            row += [_number(one.base, ".4f"), _number(one.retention, ".1%")]
            row += [_number(one.turned_wrong, "d"), _number(one.turned_right, "d")]
        rows.append(row)
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)

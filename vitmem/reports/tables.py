"""The tables of a suite as files beside its rows, written or compared. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from vitmem.files import write_whole, writing
from vitmem.reports.across import across, has_across
from vitmem.reports.analyses import Analyses, read_analyses
from vitmem.reports.bases import NAME as BASES
from vitmem.reports.bases import bases, has_bases
from vitmem.reports.budget import passes
from vitmem.reports.comparison import comparison
from vitmem.reports.content import Report, chosen, matched, sweep
from vitmem.reports.effect import effect
from vitmem.reports.factorial import Observed, observed
from vitmem.reports.folders import suite_folders
from vitmem.reports.front import front, has_front
from vitmem.reports.grids import grids, has_grids
from vitmem.reports.headline import headline
from vitmem.reports.inside import inside
from vitmem.reports.labelfree import has_labelfree, labelfree
from vitmem.reports.limits import change, cost
from vitmem.reports.own_metrics import metrics, own_metrics
from vitmem.reports.predictors import predictors
from vitmem.reports.probes import BANDS, DIAL, RELEARN, bands_removed, dialled, has_probe, relearning
from vitmem.reports.protected import has_protected, protected
from vitmem.reports.put_back import has_put_back, put_back
from vitmem.reports.regime import has_regime, regime
from vitmem.reports.regime_methods import regime_methods
from vitmem.reports.render import RENDERERS, Table
from vitmem.reports.text_content import recitation, skills
from vitmem.reports.tokens import has_tokens, tokens
from vitmem.reports.verdict import verdict, verdicts
from vitmem.rows import Belongs, Row, read_rows

CONTENT = {"chosen": chosen, "matched": matched, "sweep": sweep}
RECITATION, SKILLS = {"recitation": recitation}, {"skills": skills}


def render_tables(suite: str, rows: Sequence[Row], analyses: Analyses | None = None) -> dict[str, str]:
    """Return the text of every table file of ``suite`` by file name; a pure function of ``rows`` and ``analyses``."""
    tables = tables_of(Report(suite, rows, analyses), rows)
    return {f"{name}.{end}": render(tables[name]) for name in tables for end, render in RENDERERS.items()}


def tables_of(report: Report, rows: Sequence[Row]) -> dict[str, Table]:
    """Return the tables that ``report``, made of ``rows``, has something for, by name."""
    compete = [row for row in rows if not row.get("edit", {}).get("probe")]
    methods = any(training.edits for training in report.trainings)
    content = {
        **CONTENT,
        **({"verdict": verdict} if verdicts(report) else {}),
        **(RECITATION if "perplexity" in report.metrics else {}),
        **(SKILLS if report.families else {}),
        **({"metrics": metrics} if own_metrics(report) else {}),
        **({"front": front} if has_front(report.trainings) else {}),
        **({"grids": grids} if has_grids(report) else {}),
        **({"labelfree": labelfree} if has_labelfree(report) else {}),
        **({"across": across} if has_across(report) else {}),
        **inside(report),
        **(
            {"regime": regime, "regime_methods": regime_methods, "predictors": predictors} if has_regime(report) else {}
        ),
        **({"tokens": tokens, "effect": effect} if has_tokens(report) else {}),
        **({"protected": protected} if has_protected(report.trainings) else {}),
        **({"change": change} if any("relative_change" in row.get("edit", {}) for row in compete) else {}),
        **({"cost": cost} if any(map(passes, compete)) else {}),
        **({"headline": headline, "comparison": comparison} if methods and any("outcomes" in r for r in rows) else {}),
        **({"relearning": relearning} if has_probe(report.trainings, RELEARN) else {}),
        **({"put_back": put_back} if has_put_back(report.trainings) else {}),
        **({"dial": dialled} if has_probe(report.trainings, DIAL) else {}),
        **({"bands_removed": bands_removed} if has_probe(report.trainings, BANDS) else {}),
    }
    return {name: make(report).without_empty() for name, make in content.items()}


def _files(results: Path, suite: str | None, belongs: Belongs | None) -> Iterator[tuple[Path, bytes]]:
    """Yield path and content of every table file; those over all suites where no suite is named."""
    found: list[Observed] = []
    for folder in suite_folders(results, suite):
        rows = read_rows(folder / "rows.jsonl", belongs)
        report = Report(folder.name, rows, read_analyses(folder))
        for name, table in tables_of(report, rows).items():
            yield from _rendered(folder / "tables" / name, table)
        found += observed(folder.name, report.trainings)
    if suite is None and has_bases(found):
        yield from _rendered(results / BASES, bases(found))


def _rendered(path: Path, table: Table) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of one table, ``path`` with the suffix of each format, with their content."""
    for end, render in RENDERERS.items():
        yield path.with_name(f"{path.name}.{end}"), render(table).encode(errors="backslashreplace")


def write_tables(results: Path, suite: str | None = None, belongs: Belongs | None = None) -> list[Path]:
    """Write the tables of all suites in ``results``, or of one, each whole or not at all, and return their paths.

    Without ``suite`` the table over all of them, ``bases``, is written too, into ``results`` itself. A file that holds
    its table already is left as it is. Raises InputError or DiskFullError where one cannot be written.
    """
    written = []
    for path, content in _files(results, suite, belongs):
        if not _holds(path, content):
            with writing(path):
                write_whole(path, partial(_put, content))
        written.append(path)
    return written


def _put(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def check_tables(results: Path, suite: str | None = None, belongs: Belongs | None = None) -> list[Path]:
    """Return the table files in ``results``, or of one suite, that are missing or differ from what their rows give.

    Without ``suite`` that over all suites is one of them.
    """
    return [path for path, content in _files(results, suite, belongs) if not _holds(path, content)]


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content

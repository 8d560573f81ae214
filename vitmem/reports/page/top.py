"""The result of a suite in a sentence or two, for the top of its page. Does not import torch."""

from __future__ import annotations

from vitmem.reports.overview import counted_words, word
from vitmem.reports.page.material import Material
from vitmem.reports.tables.verdict import verdicts

# With more networks, their verdicts are counted and the largest lead is told.
MOST = 3


def results(material: Material) -> list[str]:
    """Return the sentences of the verdict, of each of a few networks or counted over many.

    Without a verdict they are those of the first table that has some; empty without any.
    """
    report = material.report
    found = verdicts(report)
    if not found:
        return next((list(table.said[:MOST]) for table in material.tables.values() if table.said), [])
    if len(found) <= MOST:
        return [verdict.sentence for verdict in found]
    counts = counted_words([word(report, verdict.training, verdict) for verdict in found])
    lines = [
        f"The best edit that reads no labels against the best shrinkage, both at no loss, in {len(found)} networks: "
        f"{counts}."
    ]
    led = [verdict for verdict in found if verdict.lead is not None]
    if led:
        most = max(led, key=lambda verdict: verdict.lead.mean if verdict.lead is not None else 0.0)
        lines.append(f"The largest lead: {most.sentence}")
    return lines

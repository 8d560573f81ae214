"""The studies of a checkout, in ``benchmarks/studies/<question>``: tables and figures for one question each.

They are modules of this package, ``vitmem.reports.studies.<question>.<module>``; an installed package has none.
"""

from pathlib import Path

_folder = Path(__file__).parents[3] / "benchmarks" / "studies"
__path__ = [str(_folder)] if _folder.is_dir() else []

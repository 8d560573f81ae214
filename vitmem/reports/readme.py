"""Tables inside a document: between two marks stands the table's file, put there by ``vitmem tables``."""

from __future__ import annotations

import re
from pathlib import Path

INCLUDE = re.compile(r"(<!-- include (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def included(document: str, root: Path) -> str:
    """Return ``document`` with every include filled from a file below ``root`` (empty when missing)."""

    def fill(match: re.Match[str]) -> str:
        path = root / match[2]
        return match[1] + (path.read_text().strip() + "\n" if path.is_file() else "") + match[3]

    return INCLUDE.sub(fill, document)

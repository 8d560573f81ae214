"""Escape user texts (names of classes, models, folders) for markdown, LaTeX, figures and pages. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Maximum length of a text shown to a reader; longer ones are cut in the middle.
LONGEST = 2000
# Separator of cells that are escaped together; no cell contains it afterwards.
BETWEEN = "\x1f"
LATEX = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "|": "\\textbar{}", "`": "\\textasciigrave{}",
    "Δ": "$\\Delta$", "‖": "$\\|$", "±": "$\\pm$", "×": "$\\times$", "–": "--", "—": "---", "…": "\\ldots{}",
    "≤": "$\\leq$", "≥": "$\\geq$", "∇": "$\\nabla$", "²": "$^2$", "°": "$^\\circ$", "·": "$\\cdot$",
}  # fmt: skip
LATEX_SPECIAL = re.compile("[" + re.escape("".join(LATEX)) + "]")
BEYOND_LATIN = re.compile("[^\0-\u017f]")
# Special characters of markdown, and openings of tags, comments and entities; "p < 0.05" and "A & B" are none.
MARKDOWN_SPECIAL = re.compile(r"[\\|$`]|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
# Characters not allowed in one line: control characters, surrogates, and marks that change the text direction.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line_of(text: str, most: int = LONGEST) -> str:
    """Return ``text`` as one line of at most ``most`` characters, with invisible characters replaced by spaces."""
    if UNSEEN.search(text):
        text = " ".join(UNSEEN.sub(" ", text).split())
    end = min(41, most // 3)
    return text if len(text) <= most else f"{text[: most - end - 3]}...{text[-end:]}"


def markdown_text(text: str) -> str:
    """Escape ``text`` for markdown, also in a table."""
    return markdown_row([text])


def markdown_row(cells: Sequence[str]) -> str:
    """Return ``cells`` escaped for markdown, separated by bars."""
    return " | ".join(MARKDOWN_SPECIAL.sub(_escaped, line) for line in _lines(cells)).replace(BETWEEN, " | ")


def _escaped(match: re.Match[str]) -> str:
    return {"<": "&lt;", "&": "&amp;"}.get(match[0], f"\\{match[0]}")


def latex_text(text: str) -> str:
    """Escape ``text`` for LaTeX."""
    return latex_row([text])


def latex_row(cells: Sequence[str]) -> str:
    """Return ``cells`` escaped for LaTeX, separated by ampersands."""
    row = " & ".join(LATEX_SPECIAL.sub(_command, line) for line in _lines(cells)).replace(BETWEEN, " & ")
    # after the end of a row these would be parsed as its star and its argument
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _command(match: re.Match[str]) -> str:
    return LATEX[match[0]]


def _lines(cells: Sequence[str]) -> Sequence[str]:
    """Return ``cells`` as single lines: all at once if no character needs replacing, which is faster."""
    joined = BETWEEN.join(cells)
    whole = joined.count(BETWEEN) == len(cells) - 1  # a cell may contain the separator
    if whole and len(joined) <= LONGEST and not UNSEEN.search(joined.replace(BETWEEN, "")):
        return [joined]
    return [one_line_of(cell) for cell in cells]


def beyond_latin(text: str) -> bool:
    """Return whether ``text`` has a letter that the usual fonts of LaTeX lack."""
    return BEYOND_LATIN.search(text) is not None

"""Texts that people chose (names of classes, models, folders) inside markdown, LaTeX, figures and pages. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A longer text is cut in the middle wherever a person reads it.
LONGEST = 2000
# What stands between cells while they are escaped together; no cell has it after that.
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
# What means something to markdown, and what opens a tag, a comment or an entity; "p < 0.05" and "A & B" do not.
MARKDOWN_SPECIAL = re.compile(r"[\\|$`]|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
# What a text may not hold on one line: control characters, halves of surrogate pairs, and marks that turn the direction
# of all that follows.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line_of(text: str, most: int = LONGEST) -> str:
    """Return ``text`` as one line that shows what it holds: at most ``most`` characters, nothing unseen."""
    if UNSEEN.search(text):
        text = " ".join(UNSEEN.sub(" ", text).split())
    end = min(41, most // 3)
    return text if len(text) <= most else f"{text[: most - end - 3]}...{text[-end:]}"


def markdown_text(text: str) -> str:
    """Return ``text`` such that markdown shows it as it is, in a table too."""
    return markdown_row([text])


def markdown_row(cells: Sequence[str]) -> str:
    """Return ``cells`` as markdown shows them, with bars between them."""
    return " | ".join(MARKDOWN_SPECIAL.sub(_escaped, line) for line in _lines(cells)).replace(BETWEEN, " | ")


def _escaped(match: re.Match[str]) -> str:
    return {"<": "&lt;", "&": "&amp;"}.get(match[0], f"\\{match[0]}")


def latex_text(text: str) -> str:
    """Return ``text`` such that LaTeX shows it as it is."""
    return latex_row([text])


def latex_row(cells: Sequence[str]) -> str:
    """Return ``cells`` as LaTeX shows them, with ampersands between them."""
    row = " & ".join(LATEX_SPECIAL.sub(_command, line) for line in _lines(cells)).replace(BETWEEN, " & ")
    # after the end of a row these would be its star and its argument
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _command(match: re.Match[str]) -> str:
    return LATEX[match[0]]


def _lines(cells: Sequence[str]) -> Sequence[str]:
    """Return ``cells`` in pieces that are one line: all at once where there is nothing to take out, which is faster."""
    joined = BETWEEN.join(cells)
    whole = joined.count(BETWEEN) == len(cells) - 1  # a cell may hold the very character
    if whole and len(joined) <= LONGEST and not UNSEEN.search(joined.replace(BETWEEN, "")):
        return [joined]
    return [one_line_of(cell) for cell in cells]


def beyond_latin(text: str) -> bool:
    """Say whether ``text`` has a letter that the usual fonts of LaTeX lack."""
    return BEYOND_LATIN.search(text) is not None

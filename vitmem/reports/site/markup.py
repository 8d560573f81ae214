"""A markdown document as sections of HTML: no raw HTML, links and images by the site. Does not import torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from vitmem.reports.documents import INCLUDE

# What an anchor leaves out of its heading, as on GitHub.
NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")
BUTTON = '<button type="button">'
COMMENT = re.compile(r"^<!--.*?-->[^\S\n]*$", re.DOTALL | re.MULTILINE)


# Source and text of an image -> what is shown for it
Picture = Callable[[str, str], Markup | None]


@dataclass(frozen=True)
class Target:
    """How the links, the images and the includes of one document are shown on one page.

    ``link`` returns the address for a target, ``None`` where it leads nowhere in the site. ``picture`` returns a whole
    figure for the source and the text of an image, ``None`` without its file. ``include`` returns what stands in place
    of an included path, ``None`` for its text as it is.
    """

    link: Callable[[str], str | None]
    picture: Picture
    include: Callable[[str], Markup | None]


@dataclass(frozen=True)
class Piece:
    """Some HTML of a section; ``included`` is set for what stands between the marks of an include."""

    html: Markup
    included: bool


@dataclass
class Section:
    """A heading of the second level with what follows it; the first section of a document has none."""

    title: str = ""
    id: str = ""
    pieces: list[Piece] = field(default_factory=list)


def sections(text: str, target: Target) -> tuple[str, list[Section]]:
    """Return the title of a document (empty without one) and its sections, of which the first may have no pieces."""
    found, title, anchors = [Section()], "", Counter[str]()
    for part, included in _parts(text, target):
        if isinstance(part, Markup):
            found[-1].pieces.append(Piece(part, included))
            continue
        tokens = PARSER.parse(COMMENT.sub("", part))
        start = 0
        for n, token in enumerate(tokens):
            if token.type != "heading_open":
                continue
            words = _plain(tokens[n + 1])
            token.attrSet("id", _anchor(words, anchors))
            if token.level or token.tag not in ("h1", "h2") or (token.tag == "h1" and title):
                continue
            found[-1].pieces += _rendered(tokens[start:n], target, included)
            start = n + 3
            if token.tag == "h1":
                title = words
            else:
                found.append(Section(words, str(token.attrGet("id"))))
        found[-1].pieces += _rendered(tokens[start:], target, included)
    return title, found


def _parts(text: str, target: Target) -> Iterator[tuple[str, bool]]:
    """Yield the texts of a document outside and inside of its includes, these as HTML where the site has its own."""
    end = 0
    for match in INCLUDE.finditer(text):
        yield text[end : match.start()], False
        own = target.include(match[2])
        yield (text[match.start() + len(match[1]) : match.end() - len(match[3])] if own is None else own), True
        end = match.end()
    yield text[end:], False


def _rendered(tokens: Sequence[Token], target: Target, included: bool) -> Iterator[Piece]:
    html = PARSER.renderer.render(_shown(tokens, target), PARSER.options, {})
    if html.strip():
        yield Piece(Markup(html), included)


def _shown(tokens: Sequence[Token], target: Target) -> list[Token]:
    """Return ``tokens`` with the links of the site, images as figures, and boxes around tables."""
    found: list[Token] = []
    label = "Table"
    for token in tokens:
        if token.type == "inline":
            figure = _figure(token, target)
            if figure is not None and found and found[-1].type == "paragraph_open":
                found[-1] = Token("html_block", "", 0, content=figure)
                found.append(Token("figure", "", 0))
                continue
            token.children = _children(token.children or [], target)
            label = _plain(token) if found and found[-1].type in ("paragraph_open", "heading_open") else label
        elif token.type == "paragraph_close" and found and found[-1].type == "figure":
            found.pop()
            continue
        elif token.type == "table_open":
            token.meta = {"label": label}
        found.append(token)
    return found


def _figure(token: Token, target: Target) -> Markup | None:
    """Return the figure of a paragraph that has nothing but an image."""
    children = token.children or []
    if len(children) != 1 or children[0].type != "image":
        return None
    return target.picture(str(children[0].attrGet("src")), children[0].content)


def _children(children: Sequence[Token], target: Target) -> list[Token]:
    """Return the parts of a line: links that lead nowhere are their words, and so is an image within a line."""
    found, left_out = [], []
    for token in children:
        if token.type == "link_open":
            address = target.link(str(token.attrGet("href")))
            left_out.append(address is None)
            if address is None:
                continue
            token.attrSet("href", address)
        elif token.type == "link_close":
            if left_out.pop():
                continue
        elif token.type == "image":
            token = Token("text", "", 0, content=token.content)
        found.append(token)
    return found


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or [] if child.type != "softbreak")


def _anchor(words: str, seen: Counter[str]) -> str:
    """Return the anchor of a heading, as on GitHub: small letters, hyphens for spaces, and a number when it repeats."""
    anchor = NOT_IN_ANCHOR.sub("", words.lower()).replace(" ", "-")
    seen[anchor] += 1
    return anchor if seen[anchor] == 1 else f"{anchor}-{seen[anchor] - 1}"


def _table_open(self: Any, tokens: Sequence[Token], n: int, options: Any, env: Any) -> str:
    label = escape(tokens[n].meta["label"])
    box = f'<div class="frame"><div class="scroll" tabindex="0" role="region" aria-label="{label}">'
    return f'{box}<table class="sortable">\n'


def _head_open(self: Any, tokens: Sequence[Token], n: int, options: Any, env: Any) -> str:
    number = ' class="n"' if "right" in str(tokens[n].attrs.get("style")) else ""
    return f'<th scope="col"{number}>{BUTTON if tokens[n + 1].content else ""}'


def _head_close(self: Any, tokens: Sequence[Token], n: int, options: Any, env: Any) -> str:
    return "</button></th>" if tokens[n - 1].content else "</th>"


def _cell_open(self: Any, tokens: Sequence[Token], n: int, options: Any, env: Any) -> str:
    return '<td class="n">' if "right" in str(tokens[n].attrs.get("style")) else "<td>"


def _fence(self: Any, tokens: Sequence[Token], n: int, options: Any, env: Any) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[n].content)}</code></pre>\n'


def _parser() -> MarkdownIt:
    """Return a parser of CommonMark with tables, for which raw HTML is text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div></div>\n")
    parser.add_render_rule("th_open", _head_open)
    parser.add_render_rule("th_close", _head_close)
    parser.add_render_rule("td_open", _cell_open)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    return parser


PARSER = _parser()

"""Write the site of a folder of results. Imports matplotlib, not torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vitmem.errors import InputError
from vitmem.files import read_text, write_text, write_whole, writing
from vitmem.registry import TABLES
from vitmem.reports.drawing import DrawnOverSuites
from vitmem.reports.escape import one_line_of
from vitmem.reports.files import OverSuites, reports, suite_folders, tables_of
from vitmem.reports.glossary import glossary
from vitmem.reports.overview import Line
from vitmem.reports.pages import results_page
from vitmem.reports.render import GLOSSARY, Table
from vitmem.reports.site.markup import Picture, Section, Target, sections
from vitmem.reports.site.places import INDEX, README, Drawn, Places, root
from vitmem.reports.site.shown import FACETS, Landing, choices, landing, shown_table
from vitmem.reports.site.suite import Suite, draw, gather, summary
from vitmem.rows import Belongs

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = ("site.css", "site.js")
COMPARE = "compare.html"
# The heading of what a suite says, in small letters.
FINDINGS = "findings"
# Tables over suites that are the landing tables.
LANDING = ("suites", "text_suites")


def write_site(results: Path, out: Path, belongs: Belongs | None = None) -> list[Path]:
    """Write the pages, tables and figures of all suites in ``results`` to ``out``, and return their paths.

    Equal rows and documents give equal bytes. Files are written atomically, and no other file in ``out`` is changed.
    Raises InputError without a suite, for ``out`` being ``results``, and when a file cannot be read or written;
    DiskFullError for a full disk.
    """
    if not suite_folders(results):
        raise InputError(f"{results}: no suite has rows here; run one first ('vitmem run')")
    if out.exists() and out.resolve() == results.resolve():
        raise InputError(f"--out: expected a folder of its own, got that of the results ({results})")
    return Site(results, out).write(belongs)


class Site:
    """The pages of one folder of results, in a folder of the same layout."""

    def __init__(self, results: Path, out: Path) -> None:
        """Read the templates."""
        self.results, self.out = results, out
        self.places = Places(results)
        self.suites: list[Suite] = []
        self.landings: list[Landing] = []
        self.first: Landing | None = None  # below the filters of the first page
        self.over: dict[str, str] = {}
        self.written: list[Path] = []
        self.templates = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self.templates.filters |= {"line": one_line_of, "broken": broken}
        self.templates.globals["facets"] = FACETS
        self.parts: Any = self.templates.get_template("parts.html").module

    def write(self, belongs: Belongs | None) -> list[Path]:
        """Write all files and return their paths."""
        for name in ASSETS:
            self._put(name, (TEMPLATES / name).read_text(encoding="utf-8"))
        self._announce()
        over, drawn = OverSuites(), DrawnOverSuites()
        for folder, report in reports(self.results, None, belongs):
            tables = tables_of(report)
            self.suites.append(gather(folder, report, tables, self.places, self.out))
            self._tables(self.suites[-1], tables)
            over.observe(report)
            drawn.observe(report)
        for name, (entry, figure) in drawn.draw().items():
            draw(entry, figure, entry.caption, name, self.places, self.out)
        self.written += [self.out / figure.path for figure in self.places.figures.values()]
        tables = over.tables()
        self.landings = [landing(tables[name], over.found[name]) for name in LANDING if name in tables]
        self._over_suites({name: table for name, table in tables.items() if name not in LANDING})
        self._documents()
        self._compare()
        for path in sorted(self.places.copied):
            with writing(self.out / path):
                write_whole(self.out / path, partial(shutil.copyfile, self.results / path))
            self.written.append(self.out / path)
        return self.written

    def _announce(self) -> None:
        """Tell where every document has its page, so that all of them can link it."""
        names = [README, GLOSSARY, *(file.name for file in sorted(self.results.glob("*.md")))]
        self.places.pages |= {name: f"{Path(name).stem}.html" for name in names}
        self.places.pages |= {README: INDEX, **{f"{name}.md": f"{INDEX}#{name}" for name in LANDING}}
        self.places.pages |= {
            f"{folder.name}/{README}": f"{folder.name}/{INDEX}" for folder in suite_folders(self.results)
        }

    def _tables(self, suite: Suite, tables: dict[str, Table]) -> None:
        for name, table in tables.items():
            page = f"{suite.name}/tables/{name}.html"
            self.places.pages[f"{suite.name}/tables/{name}.md"] = page
            self._page(page, "table.html", suite=suite, name=name, table=shown_table(table))

    def _over_suites(self, tables: dict[str, Table]) -> None:
        for name, table in tables.items():
            self.over[name] = summary(name)
            self.places.pages[f"{name}.md"] = page = f"{name}.html"
            figure = self.places.figures.get(name)
            self._page(page, "table.html", suite=None, name=name, table=shown_table(table), figure=figure)

    def _documents(self) -> None:
        file = self.results / README
        text = read_text(file, "a document") if file.exists() else results_page(self.results)
        unlisted = [suite for suite in self.suites if not any(self._lines(suite))]
        asked = [path.removesuffix(".md") for path in self.places.asked(text)]
        left_out = [one for one in self.landings if one.name not in asked]
        shown = [*(name for name in asked if name in LANDING), *(one.name for one in left_out)]
        self.first = next((one for name in shown for one in self.landings if one.name == name), None)
        self._document(
            README, text, "index.html", landings=[self._landing(one, INDEX) for one in left_out], unlisted=unlisted
        )
        self._document(GLOSSARY, glossary(), "document.html")
        for file in sorted(self.results.glob("*.md")):
            if file.name not in (README, GLOSSARY) and not TABLES.known(file.stem):
                self._document(file.name, read_text(file, "a document"), "document.html")
        for suite in self.suites:
            listed = f"{suite.name}/tables" in self.places.asked(suite.text)
            self._document(suite.document, suite.text, "suite.html", suite=suite, listed=listed)

    def _document(self, document: str, text: str, template: str, **context: Any) -> None:
        page = self.places.pages[document]
        seen: dict[str, Drawn] = {}
        title, found = sections(text, self._target(document, page, seen))
        self._page(page, template, title=title, sections=found, seen=seen, **context)

    def _told(self, document: str, seen: dict[str, Drawn], page: str | None = None) -> Picture:
        """Return what tells ``seen`` the images of ``document`` by their paths, and shows them on ``page`` if any."""

        def picture(source: str, words: str) -> Markup | None:
            figure = self.places.figure(source, words, document)
            if figure is None:
                return None
            seen.setdefault(figure.path, figure)
            return Markup("" if page is None else self.parts.drawn(figure, root(page)))

        return picture

    def _target(self, document: str, page: str, seen: dict[str, Drawn]) -> Target:
        """Return what links, images and includes of ``document`` are on ``page``; ``seen`` collects its figures."""

        def include(path: str) -> Markup | None:
            own = self.places.included(path)
            return None if own is None else self._included(own, page, seen)

        shown = self._told(document, seen, page)
        return Target(lambda href: self.places.address(href, document, page), shown, include)

    def _included(self, path: str, page: str, seen: dict[str, Drawn]) -> Markup | None:
        """Return what stands on ``page`` for ``path`` in the results; ``None`` if the site has nothing of its own."""
        above = root(page)
        if path == ".":
            figures = [figure for name, figure in self.places.figures.items() if "/" not in name]
            return Markup(
                "".join(self.parts.drawn(figure, above) for figure in figures) + self.parts.over(self.over, above)
            )
        for one in self.landings:
            if path == f"{one.name}.md":
                return self._landing(one, page)
        for suite in self.suites:
            if path == f"{suite.name}/tables":
                return Markup(self.parts.listing(suite, above))
            if path == f"{suite.name}/figures":
                seen |= {figure.path: figure for figure in suite.figures}
                return self._drawn(suite.figures, above)
            for name, table in suite.tables.items():
                if path == f"{suite.name}/tables/{name}.md":
                    return Markup(self.parts.table(table, above))
        return None

    def _drawn(self, figures: Iterable[Drawn], above: str) -> Markup:
        return Markup("").join(Markup(self.parts.drawn(figure, above)) for figure in figures)

    def _landing(self, one: Landing, page: str) -> Markup:
        filters = ""
        if page == INDEX and one is self.first:
            filters = self.parts.filters(choices(self.landings), sum(len(other.lines) for other in self.landings))
        return Markup(filters + self.parts.landing(one, root(page)))

    def _compare(self) -> None:
        """Write the page of two suites beside each other, with what is compared of each."""
        compared = []
        for suite in self.suites:
            own: dict[str, Drawn] = {figure.path: figure for figure in suite.figures}
            target = replace(self._target(suite.document, COMPARE, own), picture=self._told(suite.document, own))
            _, (first, *others) = sections(suite.text, target)
            findings = [one for one in others if one.title.lower() == FINDINGS]
            compared.append((suite, list(self._lines(suite)), written([first]), written(findings), list(own.values())))
        self._page(COMPARE, "compare.html", compared=compared)

    def _lines(self, suite: Suite) -> Iterator[tuple[Landing, Line]]:
        return ((one, line) for one in self.landings for line in one.lines if line.suite == suite.name)

    def _page(self, page: str, template: str, **context: Any) -> None:
        text = self.templates.get_template(template).render(root=root(page), page=page, **context)
        self._put(page, text)

    def _put(self, page: str, text: str) -> None:
        path = self.out / page
        with writing(path):
            write_text(path, text.encode(errors="backslashreplace").decode())
        self.written.append(path)


def written(found: Iterable[Section]) -> Markup:
    """Return what somebody wrote in these sections, without what is included."""
    return Markup("").join(piece.html for section in found for piece in section.pieces if not piece.included)


def broken(name: str) -> Markup:
    """Return ``name`` with places after its underscores where a line may break."""
    return Markup(escape(one_line_of(name)).replace("_", Markup("_<wbr>")))

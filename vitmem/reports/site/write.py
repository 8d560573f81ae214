"""Write the site of a folder of results. Imports matplotlib, not torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vitmem.errors import InputError
from vitmem.files import read_text
from vitmem.registry import TABLES
from vitmem.reports.drawing import DrawnOverSuites
from vitmem.reports.files import OverSuites, reports, suite_folders, tables_of
from vitmem.reports.glossary import glossary
from vitmem.reports.overview import Line
from vitmem.reports.pages import results_page
from vitmem.reports.render import GLOSSARY, Table
from vitmem.reports.site.markup import Picture, Section, Target, sections
from vitmem.reports.site.pages import Pages
from vitmem.reports.site.places import INDEX, README, Drawn, Places, root
from vitmem.reports.site.shown import Landing, choices, landing, shown_table, summary
from vitmem.reports.site.suite import Suite, draw, gather
from vitmem.rows import Belongs

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
    if out.resolve() == results.resolve():
        raise InputError(f"--out: expected a folder other than that of the results, got {out}; leave it out for 'site'")
    site = Site(results, out)
    site.write(belongs)
    return site.pages.written


class Site:
    """The pages of one folder of results, in a folder of the same layout."""

    def __init__(self, results: Path, out: Path) -> None:
        """Tell where every document has its page, so that all of them can link it."""
        self.results, self.pages, self.places = results, Pages(out), Places(results)
        self.suites: list[Suite] = []
        self.landings: list[Landing] = []
        self.first: Landing | None = None  # below the filters of the first page
        self.over: dict[str, str] = {}
        # a document may have the name of a page that is not its own
        own = {file.name: f"{file.stem}.html" for file in sorted(results.glob("*.md"))}
        taken = {name: f"{name}.html" for name, page in own.items() if page in (INDEX, COMPARE)}
        landings = {f"{name}.md": f"{INDEX}#{name}" for name in LANDING}
        self.places.pages |= {**own, **taken, **landings, README: INDEX, GLOSSARY: "glossary.html"}
        self.places.pages |= {f"{one.name}/{README}": f"{one.name}/{INDEX}" for one in suite_folders(results)}

    def write(self, belongs: Belongs | None) -> None:
        """Write all files."""
        self.pages.assets()
        over, drawn = OverSuites(), DrawnOverSuites()
        for folder, report in reports(self.results, None, belongs):
            tables = tables_of(report)
            self.suites.append(gather(folder, report, tables, self.places, self.pages.out))
            self._tables(self.suites[-1], tables)
            over.observe(report)
            drawn.observe(report)
        for name, (entry, figure) in drawn.draw().items():
            draw(entry, figure, entry.caption, name, self.places, self.pages.out)
        self.pages.written += [self.pages.out / figure.path for figure in self.places.figures.values()]
        tables = over.tables()
        self.landings = [landing(tables[name], over.found[name]) for name in LANDING if name in tables]
        self._over_suites({name: table for name, table in tables.items() if name not in LANDING})
        self._documents()
        self._compare()
        for path in sorted(self.places.copied):
            self.pages.copy(self.results / path, path)

    def _tables(self, suite: Suite, tables: Mapping[str, Table]) -> None:
        for name, table in tables.items():
            page = f"{suite.name}/tables/{name}.html"
            self.places.pages[f"{suite.name}/tables/{name}.md"] = page
            self.pages.write(page, "table.html", suite=suite, table=shown_table(table), figure=None)

    def _over_suites(self, tables: Mapping[str, Table]) -> None:
        for name, table in tables.items():
            self.over[name] = summary(name)
            self.places.pages[f"{name}.md"] = page = f"{name}.html"
            figure = self.places.figures.get(name)
            self.pages.write(page, "table.html", suite=None, table=shown_table(table), figure=figure)

    def _documents(self) -> None:
        self._first_page()
        self._document(GLOSSARY, glossary(), "document.html")
        for file in sorted(self.results.glob("*.md")):
            if file.name not in (README, GLOSSARY) and not TABLES.known(file.stem):
                self._document(file.name, read_text(file, "a document"), "document.html")
        for suite in self.suites:
            listed = f"{suite.name}/tables" in self.places.asked(suite.text)
            self._document(suite.document, suite.text, "suite.html", suite=suite, listed=listed)

    def _first_page(self) -> None:
        """Write the document of all suites, with the filters above its first landing table."""
        file = self.results / README
        text = read_text(file, "a document") if file.exists() else results_page(self.results)
        asked = {path.removesuffix(".md"): None for path in self.places.asked(text)}
        by_name = {one.name: one for one in self.landings}
        left_out = [one for name, one in by_name.items() if name not in asked]
        self.first = next((by_name[name] for name in (*asked, *by_name) if name in by_name), None)
        landings = [self._landing(one, INDEX) for one in left_out]
        unlisted = [suite for suite in self.suites if not any(self._lines(suite))]
        self._document(README, text, "index.html", landings=landings, unlisted=unlisted)

    def _document(self, document: str, text: str, template: str, **context: Any) -> None:
        page = self.places.pages[document]
        seen: dict[str, Drawn] = {}
        title, found = sections(text, self._target(document, page, seen))
        self.pages.write(page, template, title=title, sections=found, seen=seen, **context)

    def _target(self, document: str, page: str, seen: dict[str, Drawn]) -> Target:
        """Return what links, images and includes of ``document`` are on ``page``; ``seen`` collects its figures."""
        return Target(
            lambda href: self.places.address(href, document, page),
            self._picture(document, seen, lambda figure: self.pages.drawn([figure], page)),
            lambda path: self._included(self.places.included(path), page, seen),
        )

    def _picture(self, document: str, seen: dict[str, Drawn], show: Callable[[Drawn], str]) -> Picture:
        def picture(source: str, words: str) -> Markup | None:
            figure = self.places.figure(source, words, document)
            if figure is None:
                return None
            seen.setdefault(figure.path, figure)
            return Markup(show(figure))

        return picture

    def _included(self, path: str, page: str, seen: dict[str, Drawn]) -> Markup | None:
        """Return what stands on ``page`` for ``path`` in the results; ``None`` if the site has nothing of its own."""
        if path == ".":
            figures = [figure for name, figure in self.places.figures.items() if "/" not in name]
            return self.pages.drawn(figures, page) + self.pages.part("over", self.over, root(page))
        for one in self.landings:
            if path == f"{one.name}.md":
                return self._landing(one, page)
        suite = next((suite for suite in self.suites if path.startswith(f"{suite.name}/")), None)
        if suite is None:
            return None
        place, name = path.removeprefix(f"{suite.name}/"), Path(path).stem
        if place == "figures":
            seen |= {figure.path: figure for figure in suite.figures}
            return self.pages.drawn(suite.figures, page)
        if place == "tables":
            return self.pages.part("listing", suite, root(page))
        shown = suite.tables.get(name) if place == f"tables/{name}.md" else None
        return None if shown is None else self.pages.part("table", shown, root(page))

    def _landing(self, one: Landing, page: str) -> Markup:
        shown = self.pages.part("landing", one, root(page))
        if page != INDEX or one is not self.first:
            return shown
        total = sum(len(other.lines) for other in self.landings)
        return self.pages.part("filters", choices(self.landings), total) + shown

    def _compare(self) -> None:
        """Write the page of two suites beside each other, with what is compared of each."""
        compared = []
        for suite in self.suites:
            figures = {figure.path: figure for figure in suite.figures}
            target = self._target(suite.document, COMPARE, figures)
            apart = self._picture(suite.document, figures, lambda _: "")  # figures have a place of their own
            _, (first, *others) = sections(suite.text, replace(target, picture=apart))
            findings = [one for one in others if one.title.lower() == FINDINGS]
            lines = list(self._lines(suite))
            compared.append((suite, lines, written([first]), written(findings), list(figures.values())))
        self.pages.write(COMPARE, "compare.html", compared=compared)

    def _lines(self, suite: Suite) -> Iterator[tuple[Landing, Line]]:
        return ((one, line) for one in self.landings for line in one.lines if line.suite == suite.name)


def written(found: Iterable[Section]) -> Markup:
    """Return what somebody wrote in these sections, without what is included."""
    return Markup("").join(piece.html for section in found for piece in section.pieces if not piece.included)

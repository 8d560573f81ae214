"""What ``vitmem tables`` puts between the marks of a document, and what it refuses to read or to lose."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from vitmem import files
from vitmem.errors import DiskFullError, InputError, VitmemError
from vitmem.registry import TABLES
from vitmem.reports.documents import check_documents, included, write_documents
from vitmem.reports.files import suite_folders, write_tables
from vitmem.rows import write_rows

Row = dict[str, Any]
DOCUMENT = "# A\n<!-- include {} -->\nold\n<!-- end -->\nafter\n"


def filled(name: str, root: Path, document: str = "README.md") -> str:
    """Return a document in ``root`` that includes ``name``, filled."""
    return included(DOCUMENT.format(name), root / document, root / "results")


def test_an_include_is_filled_and_a_missing_one_emptied(tmp_path: Path) -> None:
    (tmp_path / "table.md").write_text("| a |\n\n")
    assert filled("table.md", tmp_path) == DOCUMENT.format("table.md").replace("old", "| a |")
    assert filled("none.md", tmp_path) == DOCUMENT.format("none.md").replace("old\n", "")


@pytest.mark.parametrize(
    ("document", "own", "other"),
    [
        ("README.md", "results/toy/tables/chosen.md", "results/glossary.md#chosen"),
        ("results/README.md", "toy/tables/chosen.md", "glossary.md#chosen"),
        ("results/toy/README.md", "tables/chosen.md", "../glossary.md#chosen"),
        ("docs/more/toy.md", "../../results/toy/tables/chosen.md", "../../results/glossary.md#chosen"),
    ],
)
def test_links_of_an_included_file_lead_to_the_same_place(tmp_path: Path, document: str, own: str, other: str) -> None:
    (tmp_path / "results" / "toy" / "tables").mkdir(parents=True)
    kept = "[c](https://example.org/a) [d](#here) [e](/root) 0.5](1"
    text = "[a](chosen.md) [b](../../glossary.md#chosen)"
    (tmp_path / "results" / "toy" / "tables" / "x.md").write_text(f"{text} {kept}\n")
    found = filled("results/toy/tables/x.md", tmp_path, document)
    assert found == DOCUMENT.format("results/toy/tables/x.md").replace("old", f"[a]({own}) [b]({other}) {kept}")


def test_a_folder_is_listed(tmp_path: Path) -> None:
    tables = tmp_path / "results" / "toy" / "tables"
    tables.mkdir(parents=True)
    for name in ("verdict.md", "chosen.md", "of_no_table.md", "chosen.csv", "b.png", "a.png"):
        (tables / name).write_text("")
    found = filled("results/toy/tables", tmp_path, "results/toy/README.md").splitlines()[2:-2]
    assert found[:3] == ["![a](tables/a.png)", "", "![b](tables/b.png)"]
    names = ("chosen", "verdict")
    assert found[3:] == [f"- [{name}](tables/{name}.md): {TABLES.get(name).summary}" for name in names]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.md", "link.md", "inside/../../secret.md", "folder/secret.md"]
)
def test_an_include_reads_nothing_outside_the_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path)
    with pytest.raises(InputError, match="expected a file below"):
        filled(name, root)


@pytest.mark.parametrize("kind", ["fifo", "binary"])
def test_an_include_of_no_text_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.md"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a table"):
        filled("x.md", tmp_path)


def test_writing_tables_leaves_documents_alone(toy: list[Row], tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_rows(results / "toy" / "rows.jsonl", toy)
    readme.write_text(before := DOCUMENT.format("results/toy/tables/chosen.md"))
    write_tables(results)
    assert readme.read_text() == before
    pages = [results / "toy" / "README.md", results / "README.md"]
    assert check_documents(results) == [*pages, readme]
    assert write_documents(results) == [*pages, readme]
    assert "K-FAC" in readme.read_text() and check_documents(results) == [] == write_documents(results)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_fills_leaves_every_file_as_it_was(
    toy: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_rows(results / "toy" / "rows.jsonl", toy)
    files_before = {p: p.read_bytes() for p in write_tables(results)}
    readme.write_text(DOCUMENT.format("results/toy/tables/chosen.md"))
    write_rows(results / "toy" / "rows.jsonl", [{**toy[0], "metrics": {**toy[0]["metrics"], "memorized": 0.123}}])

    def full(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "flush", full)
    for write in (write_tables, write_documents):
        with pytest.raises(VitmemError) as caught:
            write(results)
        assert isinstance(caught.value, DiskFullError if number in (errno.ENOSPC, errno.EDQUOT) else InputError)
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert {p: p.read_bytes() for p in files_before} == files_before
    assert readme.read_text() == DOCUMENT.format("results/toy/tables/chosen.md")
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]


def test_what_holds_its_table_is_not_written_again(toy: list[Row], tmp_path: Path) -> None:
    write_rows(tmp_path / "toy" / "rows.jsonl", toy)
    before = {p: p.stat().st_mtime_ns for p in write_tables(tmp_path)}
    assert {p: p.stat().st_mtime_ns for p in write_tables(tmp_path)} == before
    assert {stat.S_IMODE(p.stat().st_mode) for p in before} == {0o666 & ~files.umask()}


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".git", "__MACOSX"])
def test_hidden_folders_are_no_suites(toy: list[Row], tmp_path: Path, name: str) -> None:
    for folder in ("toy", name):
        write_rows(tmp_path / folder / "rows.jsonl", toy)
    assert [folder.name for folder in suite_folders(tmp_path)] == ["toy"]
    with pytest.raises(InputError, match="unknown suite"):
        suite_folders(tmp_path, name)

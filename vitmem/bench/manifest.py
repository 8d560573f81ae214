"""The manifest of a stage's folder: size and SHA-256 of each file, to detect damage. No torch.

It covers the files of the folder itself, not its subfolders, which have the logs of a training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitmem.errors import InputError
from vitmem.files import file_digest, flush, hidden, read_text, umask, write_text
from vitmem.parsing import parse_json

MANIFEST = "digests.json"


def write_manifest(folder: Path, made_from: Mapping[str, str]) -> None:
    """Flush all files in ``folder`` to disk with the user's permissions, then write their manifest.

    ``made_from`` maps names to digests of the inputs of the files. Deletes hidden files, which killed writes leave.
    """
    for path in (p for p in folder.iterdir() if p.is_file() and hidden(p.name)):
        path.unlink()
    files = {}
    for path in _files(folder):
        path.chmod(0o666 & ~umask())
        flush(path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    write_text(folder / MANIFEST, _text({"files": files, "made_from": dict(made_from)}))


def listed(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 from the manifest of ``folder``; raises InputError if it is missing or damaged."""
    return {name: entry["sha256"] for name, entry in _read(folder)["files"].items()}


def fault(folder: Path, made_from: Mapping[str, str] | None = None) -> str | None:
    """Return the damage of a finished ``folder`` as a clause, ``None`` if all files agree with the manifest.

    Reads all content. With ``made_from``, other digests of the inputs are a fault too.
    """
    try:
        manifest = _read(folder)
        for name, entry in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if (size := path.stat().st_size) != entry["bytes"]:
                return f"{name} has {size} bytes, {entry['bytes']} were written"
            if file_digest(path) != entry["sha256"]:
                return f"{name} has another content than was written"
    except (InputError, OSError) as error:
        return str(error)
    if made_from is not None and manifest["made_from"] != made_from:
        return "it was made from other " + " and ".join(sorted(made_from.keys() | manifest["made_from"].keys()))
    return None


def checked(folder: Path, what: str) -> Path:
    """Return the finished ``folder``; raises InputError if a file in it is damaged or missing."""
    if (wrong := fault(folder)) is not None:
        raise InputError(f"{folder}: {wrong}; {what} cannot be read, the same 'vitmem run' makes the folder again")
    return folder


def _read(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{MANIFEST} is missing")
    text = read_text(path, "digests")
    manifest: dict[str, Any] = parse_json(text, MANIFEST)
    try:
        shaped = all({*entry} == {"bytes", "sha256"} for entry in manifest["files"].values())
        shaped = shaped and {*manifest} == {"files", "made_from"} and _text(manifest) == text
    except (KeyError, TypeError, AttributeError):
        shaped = False
    if not shaped:
        raise InputError(f"{MANIFEST} has another content than was written")
    return manifest


def _text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, sort_keys=True, indent=1)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST and not hidden(p.name))

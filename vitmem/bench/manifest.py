"""The manifest of a stage's folder: size and SHA-256 of each file, so that no run believes what was damaged. No torch.

Covered are the files of the folder itself. What a training logs lies in folders below it and is read by no run.
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
    """Write the manifest of all files in ``folder``, which are on the disk with the user's rights before it is.

    ``made_from`` has digests, by name, of what the files were made from. Hidden files, the leftovers of a write that
    was killed, go.
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
    """Return the SHA-256 of each file that the manifest of ``folder`` names; raises InputError without a whole one."""
    return {name: entry["sha256"] for name, entry in _read(folder)["files"].items()}


def fault(folder: Path, made_from: Mapping[str, str] | None = None) -> str | None:
    """Return what is wrong with the files of a finished ``folder``, a part of a sentence; ``None`` when all are whole.

    All content is read. With ``made_from`` it is also wrong to have been made from something else.
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
        return "it was made from another " + " and ".join(sorted(made_from.keys() | manifest["made_from"].keys()))
    return None


def checked(folder: Path, what: str) -> Path:
    """Return the finished ``folder``; raises InputError naming it when a file in it is damaged or missing."""
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

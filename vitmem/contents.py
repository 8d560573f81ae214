"""Files that a suite names, which enter ids and seeds by their content: another place changes nothing, other bytes do.

A config has such a file as ``{path, sha256}``. What is not there when a suite is read, what a store or a package names
by content already, and a name on the Hub stay as they are written. No torch.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, model_serializer, model_validator

from vitmem.errors import InputError
from vitmem.files import check_readable, expand, file_digest, short_name
from vitmem.specs import FILE, Spec

# A file of a store lies in a folder that is named after what made it.
NAMED_BY_CONTENT = re.compile(r"(^|/)store/[a-z]+/[0-9a-f]{16}/[^/]+$")
PACKAGE = "package:"
# The files of a language model's folder that decide what is computed; its record of an edit says when.
OF_A_MODEL = (".json", ".safetensors", ".gguf", ".model", ".txt", ".jinja", ".tiktoken")
RECORD = "vitmem_edit.json"
DIGITS = 16
S = TypeVar("S", bound=BaseModel)


class File(Spec):
    """A file inside the data folder or anywhere: ``path`` as it is written, and ``sha256``, the digest of its content.

    In a suite it is the path alone.
    """

    path: str
    sha256: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_serializer
    def _as_written(self) -> str | dict[str, str]:
        return self.path if self.sha256 is None else {"path": self.path, "sha256": self.sha256}

    def place(self, data_dir: Path | None) -> Path:
        """Return where it is, inside ``data_dir`` or anywhere; it need not exist."""
        inside = None if data_dir is None else data_dir / self.path
        return inside if inside is not None and os.path.exists(inside) else expand(self.path)

    def known(self, data_dir: Path | None) -> File:
        """Return the file with its digest; as it is when there is none, or when its path names a content."""
        place = self.place(data_dir)
        if self.sha256 is not None or NAMED_BY_CONTENT.search(self.path) or not os.path.exists(place):
            return self
        return self.model_copy(update={"sha256": self.digest(place)})

    def checked(self, data_dir: Path | None) -> str:
        """Return what to read: where the file is, or ``path`` when it has no digest.

        Raises InputError when it is missing, or has another content than when the suite was read.
        """
        if self.sha256 is None:
            return self.path
        place = self.place(data_dir)
        if not os.path.exists(place):
            raise InputError(f"{short_name(place)}: no such file; give one inside --data-dir, or its whole path")
        if self.digest(place) != self.sha256:
            raise InputError(
                f"{short_name(place)}: its content is not the one that was planned ({self.sha256}); put that back, or "
                "run the suite again"
            )
        return str(place)

    def digest(self, place: Path) -> str:
        """Return the digest of the content at ``place``; raises InputError for what cannot be read."""
        check_readable(place, "a file")
        return file_digest(place)[:DIGITS]


class Source(File):
    """A language model: a folder inside the data folder or anywhere, ``package:<name>``, or a name on the Hub."""

    def known(self, data_dir: Path | None) -> File:
        """Return the folder with its digest; a package or a name on the Hub as it is."""
        here = not self.path.startswith(PACKAGE) and os.path.isdir(self.place(data_dir))
        return super().known(data_dir) if here else self

    def digest(self, place: Path) -> str:
        """Return the digest of the names and contents of the files that a model is loaded from."""
        state = hashlib.sha256()
        for file in sorted(place.iterdir()):
            if file.suffix in OF_A_MODEL and file.name != RECORD and not file.name.startswith(".") and file.is_file():
                state.update(f"{file.name} {file_digest(file)}\n".encode())
        return state.hexdigest()[:DIGITS]


# Parameters of an entry's function that are files: the field is a ``File``, the function gets the path of what to read.
FilePath = Annotated[str, File]
SourcePath = Annotated[str, Source]


def by_content(spec: S, data_dir: Path | None) -> S:
    """Return ``spec`` with the digest of every file among its values."""
    files = {name: value for name in type(spec).model_fields if isinstance(value := getattr(spec, name), File)}
    known = {name: file.known(data_dir) for name, file in files.items()}
    return spec.model_copy(update=known) if known else spec


def arguments(params: BaseModel, data_dir: Path | None) -> dict[str, Any]:
    """Return ``params`` as arguments of an entry's function: a file as what to read, its content checked."""
    values = params.model_dump()
    files = {name: value for name in values if isinstance(value := getattr(params, name), File)}
    return {**values, **{name: file.checked(data_dir) for name, file in files.items()}}


def shown_file(value: Any) -> Any:
    """Return the name of a file in a config, and any other value as it is."""
    return str(value["path"]).rpartition("/")[2] if isinstance(value, dict) and value.keys() == FILE else value

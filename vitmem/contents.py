"""Files named in a suite, which enter ids and seeds by content: independent of their place, not of their bytes.

A config stores such a file as ``{path, sha256}``. A file that is missing when the suite is read, a path that already
identifies its content (in a store or a package), and a name on the Hub are stored as written. Does not import torch.
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

# A file in a store is in a folder named after its inputs.
NAMED_BY_CONTENT = re.compile(r"(^|/)store/[a-z]+/[0-9a-f]{16}/[^/]+$")
PACKAGE = "package:"
# Files of a language model's folder that determine its computation; its record of an edit has a date.
OF_A_MODEL = (".json", ".safetensors", ".gguf", ".model", ".txt", ".jinja", ".tiktoken")
RECORD = "vitmem_edit.json"
DIGITS = 16
S = TypeVar("S", bound=BaseModel)


class File(Spec):
    """A file in the data folder or elsewhere: ``path`` as written, and ``sha256``, the digest of its content.

    In a suite it is only the path.
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
        """Return its location, relative to ``data_dir`` or absolute; it need not exist."""
        inside = None if data_dir is None else data_dir / self.path
        return inside if inside is not None and os.path.exists(inside) else expand(self.path)

    def known(self, data_dir: Path | None) -> File:
        """Return the file with its digest; unchanged when it is missing, or when its path identifies its content."""
        place = self.place(data_dir)
        if self.sha256 is not None or NAMED_BY_CONTENT.search(self.path) or not os.path.exists(place):
            return self
        return self.model_copy(update={"sha256": self.digest(place)})

    def checked(self, data_dir: Path | None) -> str:
        """Return the location to read, or ``path`` for a file without a digest.

        Raises InputError when it is missing, or its content has changed since the suite was read.
        """
        if self.sha256 is None:
            return self.path
        place = self.place(data_dir)
        if not os.path.exists(place):
            raise InputError(f"{short_name(place)}: no such file; give one inside --data-dir, or its whole path")
        if self.digest(place) != self.sha256:
            raise InputError(
                f"{short_name(place)}: its content has changed since planning (expected {self.sha256}); restore it, or "
                "run the suite again"
            )
        return str(place)

    def digest(self, place: Path) -> str:
        """Return the digest of the content at ``place``; raises InputError when it is unreadable."""
        check_readable(place, "a file")
        return file_digest(place)[:DIGITS]


class Source(File):
    """A language model: a folder in the data folder or elsewhere, ``package:<name>``, or a name on the Hub."""

    def known(self, data_dir: Path | None) -> File:
        """Return the folder with its digest; a package or a name on the Hub unchanged."""
        here = not self.path.startswith(PACKAGE) and os.path.isdir(self.place(data_dir))
        return super().known(data_dir) if here else self

    def digest(self, place: Path) -> str:
        """Return the digest of the names and contents of the files that a model is loaded from."""
        state = hashlib.sha256()
        for file in sorted(place.iterdir()):
            if file.suffix in OF_A_MODEL and file.name != RECORD and not file.name.startswith(".") and file.is_file():
                state.update(f"{file.name} {file_digest(file)}\n".encode())
        return state.hexdigest()[:DIGITS]


# Parameters of an entry's function that are files: the field is a ``File``, the function gets the path to read.
FilePath = Annotated[str, File]
SourcePath = Annotated[str, Source]


def by_content(spec: S, data_dir: Path | None) -> S:
    """Return ``spec`` with the digest of every file among its values."""
    files = {name: value for name in type(spec).model_fields if isinstance(value := getattr(spec, name), File)}
    known = {name: file.known(data_dir) for name, file in files.items()}
    return spec.model_copy(update=known) if known else spec


def arguments(params: BaseModel, data_dir: Path | None) -> dict[str, Any]:
    """Return ``params`` as arguments of an entry's function: files as paths, with their contents checked."""
    fields = type(params).model_fields
    values = params.model_dump() | {name: getattr(params, name) for name, field in fields.items() if field.exclude}
    files = {name: value for name in values if isinstance(value := getattr(params, name), File)}
    return {**values, **{name: file.checked(data_dir) for name, file in files.items()}}


def shown_file(value: Any) -> Any:
    """Return the name of a file in a config, and any other value unchanged."""
    return str(value["path"]).rpartition("/")[2] if isinstance(value, dict) and value.keys() == FILE else value

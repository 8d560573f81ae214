"""A server that speaks as much of the Hub's protocol as ``datasets`` needs to load a data set from a folder.

``hub_server.py ROOT`` prints its address. A repository is a folder ``<owner>/<name>`` of the root, at one commit.
"""

from __future__ import annotations

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Answers questions about repositories, folders and files."""

    root: Path
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content_Length": str(len(content))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def files(self, repository: list[str]) -> dict[str, Path]:
        folder = self.root.joinpath(*repository)
        return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}

    def do_POST(self) -> None:
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        files = self.files(parts[2:4])
        paths = parse_qs(body)["paths"] if "=" in body else json.loads(body)["paths"]
        folders = [path for path in paths if any(name.startswith(f"{path}/") for name in files)]
        found = [entry(path, files[path]) for path in paths if path in files]
        self.json(found + [{"type": "directory", "path": path, "oid": "0"} for path in folders])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
        repository = parts[2:4] if parts[0] == "api" else parts[1:3]
        if not self.root.joinpath(*repository).is_dir():
            return self.answer(404, X_Error_Code="RepoNotFound")
        files = self.files(repository)
        if "resolve" in parts:
            return self.resolve(files.get("/".join(parts[parts.index("resolve") + 2 :])))
        if "tree" not in parts:
            known = {"private": False, "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0}
            siblings = [{"rfilename": path} for path in files]
            return self.json({"id": "/".join(repository), "sha": COMMIT, "siblings": siblings, **known})
        before = "".join(f"{part}/" for part in parts[parts.index("tree") + 2 :])
        below = {path.removeprefix(before): file for path, file in files.items() if path.startswith(before)}
        if not below:
            return self.answer(404, X_Error_Code="EntryNotFound")
        folders = {"/".join(path.split("/")[:n]) for path in below for n in range(1, path.count("/") + 1)}
        every = parse_qs(urlparse(self.path).query).get("recursive", [""])[0].lower() == "true"
        self.json(
            [entry(before + path, file) for path, file in below.items() if every or "/" not in path]
            + [{"type": "directory", "path": before + f, "oid": "0"} for f in sorted(folders) if every or "/" not in f]
        )

    def resolve(self, file: Path | None) -> None:
        if file is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content = file.read_bytes()
        self.answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit=COMMIT)


def entry(path: str, file: Path) -> dict[str, Any]:
    """Return what the Hub says of a file."""
    content = file.read_bytes()
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


if __name__ == "__main__":
    Hub.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()

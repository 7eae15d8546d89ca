"""A stand-in for the Hugging Face hub: as much of its HTTP interface as downloading one small model takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

COMMIT = "0" * 39 + "1"


class _Hub(BaseHTTPRequestHandler):
    """One repository. `contents` and `repository` are set by a subclass."""

    protocol_version = "HTTP/1.1"
    contents: ClassVar[dict[str, bytes]]
    repository: ClassVar[str]

    def do_GET(self) -> None:
        path, name = self.path.split("?")[0], self.path.rsplit("/", 1)[-1]
        files = self.contents
        if path.startswith(f"/api/models/{self.repository}/tree/"):
            self._json([{"type": "file", "path": n, "size": len(d), "oid": _etag(d)} for n, d in files.items()])
        elif path.startswith(f"/api/models/{self.repository}"):
            self._json({"id": self.repository, "sha": COMMIT, "siblings": [{"rfilename": n} for n in files]})
        elif path.startswith(f"/{self.repository}/resolve/") and name in files:
            self._send(200, files[name], {"ETag": f'"{_etag(files[name])}"', "X-Repo-Commit": COMMIT})
        else:
            self._send(404, b"{}", {"Content-Type": "application/json"})

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _json(self, data: object) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def serving(folder: Path, repository: str) -> Iterator[str]:
    """Serve the files of a folder as a repository; gives the endpoint."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    hub = type("Hub", (_Hub,), {"contents": contents, "repository": repository})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _etag(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()

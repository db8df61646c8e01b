"""A hub on this machine: it serves directories as repositories and refuses as the real one does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# repository -> (status, X-Error-Code), as the hub answers
REFUSALS = {
    "owner/gated": (403, "GatedRepo"),
    "owner/gated-anonymous": (401, "GatedRepo"),
    "owner/absent": (404, "RepoNotFound"),
    "owner/private": (401, "RepoNotFound"),
    "owner/forbidden": (403, None),
    "owner/broken": (503, None),
}


@contextmanager
def hub(repositories: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Inside: the hub's address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            parts = path.removeprefix("/api/models").strip("/").split("/")
            name, rest = "/".join(parts[:2]), parts[2:]
            if name in REFUSALS:
                status, code = REFUSALS[name]
                self._send(status, b"{}", body, {"X-Error-Code": code} if code else {})
            elif name not in repositories:
                self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
            elif len(rest) > 1 and rest[1] not in ("main", COMMIT):
                self._send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
            elif path.startswith("/api/models"):
                self._api(name, rest, body)
            else:
                self._file(repositories[name] / "/".join(rest[2:]), body)

        def _api(self, name: str, rest: list[str], body: bool) -> None:
            files = sorted(p for p in repositories[name].rglob("*") if p.is_file())
            names = [p.relative_to(repositories[name]).as_posix() for p in files]
            if rest[:1] == ["tree"]:
                content: object = [
                    {"type": "file", "path": n, "size": p.stat().st_size, "oid": _etag(p)}
                    for n, p in zip(names, files, strict=True)
                ]
            else:
                content = {
                    "id": name, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]
                }  # fmt: skip
            self._send(200, json.dumps(content).encode(), body, {})

        def _file(self, path: Path, body: bool) -> None:
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_etag(path)}"'}
            self._send(200, path.read_bytes(), body, headers)

        def _send(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *what: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _etag(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

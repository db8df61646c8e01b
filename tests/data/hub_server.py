"""A hub on this machine that serves directories as datasets; as tests/engine/hub_server.py does
for models, and refusing in the same words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.engine.hub_server import COMMIT, REFUSALS


@dataclass
class Asked:
    """What was asked of the hub: paths, and the tokens that came with them."""

    address: str = ""
    paths: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


@contextmanager
def datasets(repositories: dict[str, Path]) -> Iterator[Asked]:
    """Inside: a hub with these datasets; what it was asked."""
    seen = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            if "/datasets/" in path:  # the client also asks for news of its own
                seen.paths.append(path)
                seen.tokens.add(self.headers["Authorization"])
            parts = path.removeprefix("/api").removeprefix("/datasets/").split("/")
            name, rest = "/".join(parts[:2]), parts[2:]
            if name in REFUSALS:
                status, code = REFUSALS[name]
                self._send(status, b"{}", body, {"X-Error-Code": code} if code else {})
            elif name not in repositories:
                self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
            elif len(rest) > 1 and rest[1] not in ("main", COMMIT):
                self._send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
            elif path.startswith("/api/datasets"):
                where = repositories[name]
                files = sorted(p.relative_to(where) for p in where.rglob("*") if p.is_file())
                content = {
                    "id": name,
                    "sha": COMMIT,
                    "siblings": [{"rfilename": file.as_posix()} for file in files],
                }
                self._send(200, json.dumps(content).encode(), body, {})
            else:
                self._file(repositories[name] / "/".join(rest[2:]), body)

        def _file(self, path: Path, body: bool) -> None:
            if not path.is_file():
                self._send(404, b"", body, {"X-Error-Code": "EntryNotFound"})
                return
            content = path.read_bytes()
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self._send(200, content, body, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

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
    seen.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

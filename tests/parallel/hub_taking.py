"""A hub on this machine that data sets are sent to: enough of its API for one commit."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass
class Taken:
    """What the hub holds and was asked; `refuse`: part of a path to the status it answers."""

    address: str = ""
    sets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    visibility: dict[str, str | None] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    refuse: dict[str, int] = field(default_factory=dict)
    rubbish: set[str] = field(
        default_factory=set
    )  # parts of paths that get an answer without sense


@contextmanager
def taking() -> Iterator[Taken]:
    """Inside: a hub that takes data sets."""
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/datasets/" not in self.path:  # the client also asks for news of its own
                self._send({}, 404)
                return
            if self._refused():
                return
            name, rest = self._name(self.path.partition("?")[0].removeprefix("/api/datasets/"))
            assert rest == ["tree", "main"], self.path
            tree = [
                {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
                for path, content in taken.sets[name].items()
            ]
            self._send(tree)

        def do_PUT(self) -> None:
            content = self._body()
            oid = self.path.removeprefix("/lfs/")
            assert hashlib.sha256(content).hexdigest() == oid
            taken.objects[oid] = content
            self._send({})

        def do_POST(self) -> None:
            body = self._body()
            if self._refused():
                return
            if self.path == "/api/validate-yaml":
                assert json.loads(body)["repoType"] == "dataset"
                self._send({"warnings": [], "errors": []})
            elif self.path == "/api/repos/create":
                self._create(json.loads(body))
            elif self.path.endswith("/info/lfs/objects/batch"):
                self._batch(json.loads(body))
            elif "/preupload/main" in self.path:
                self._preupload(json.loads(body))
            elif "/commit/main" in self.path:
                self._commit([json.loads(line) for line in body.splitlines()])
            else:
                self._send({}, 404)

        def _create(self, wanted: dict[str, str]) -> None:
            assert wanted["type"] == "dataset"
            name = f"{wanted['organization']}/{wanted['name']}"
            answer = {"url": f"{taken.address}/datasets/{name}", "name": name}
            if name in taken.sets:
                self._send({**answer, "error": "You already created this dataset repo"}, 409)
                return
            taken.sets[name] = {}
            taken.visibility[name] = wanted.get("visibility")
            self._send(answer)

        def _preupload(self, wanted: dict[str, list[dict[str, str]]]) -> None:
            self._send(
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs" if file["path"].endswith(".parquet") else "regular",
                            "shouldIgnore": False,
                        }
                        for file in wanted["files"]
                    ]
                }
            )

        def _batch(self, wanted: dict[str, list[dict[str, str]]]) -> None:
            objects = []
            for one in wanted["objects"]:
                upload = {"upload": {"href": f"{taken.address}/lfs/{one['oid']}", "header": {}}}
                objects.append(one if one["oid"] in taken.objects else {**one, "actions": upload})
            self._send({"transfer": "basic", "objects": objects})

        def _commit(self, lines: list[dict[str, dict[str, str]]]) -> None:
            name, _ = self._name(self.path.removeprefix("/api/datasets/"))
            held = taken.sets[name]
            for line in lines[1:]:
                value, path = line["value"], line["value"]["path"]
                if str(line["key"]) == "file":
                    held[path] = base64.b64decode(value["content"])
                elif str(line["key"]) == "lfsFile":
                    held[path] = taken.objects[value["oid"]]
                else:
                    assert str(line["key"]) == "deletedFile"
                    del held[path]
            url = f"{taken.address}/datasets/{name}/commit/{COMMIT}"
            self._send({"commitUrl": url, "commitOid": COMMIT})

        def _name(self, path: str) -> tuple[str, list[str]]:
            parts = path.split("/")
            return "/".join(parts[:2]), parts[2:]

        def _body(self) -> bytes:
            length = self.headers["Content-Length"]
            if length is not None:
                return self.rfile.read(int(length))
            content = b""
            while size := int(self.rfile.readline(), 16):  # chunked
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def _refused(self) -> bool:
            taken.asked.append(f"{self.command} {self.path.partition('?')[0]}")
            taken.tokens.add(self.headers["Authorization"])
            for part, status in taken.refuse.items():
                if part in self.path:
                    self._send({"error": "no"}, status)
                    return True
            for part in taken.rubbish:
                if part in self.path:
                    self._send({"sense": None})
                    return True
            return False

        def _send(self, content: object, status: int = 200) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *what: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    taken.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

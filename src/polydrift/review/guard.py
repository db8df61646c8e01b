"""The door of the review page: nobody but the browser that was given the token gets in.

    app.add_middleware(Guard, keys=new_keys(), host="127.0.0.1:8137")

The page is for one person on this machine, yet every web site that they visit may send requests to
127.0.0.1, and every other user of the machine too. Therefore, of each request:

- *Host* must be ours, or a site that lets its own name point here could read it (DNS rebinding).
- The *token* of the printed address is exchanged for a cookie (HttpOnly, SameSite=Strict) and
  leaves the address at once; without the cookie nothing is shown. Both are new with every start.
- What changes something is a POST of a form from our own page: its `Origin` or `Sec-Fetch-Site`
  says so, and it carries a second token that is in our pages only (CSRF).
- Bodies are small, and answers forbid scripts and styles that are not ours, frames, caches, guessed
  types, and telling other sites where somebody came from.

Refusals are pages of one sentence, which contain nothing of what was sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 2**20  # bytes of a body: texts of an example, many times over
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    # "no-referrer" would also take our own forms' Origin away, by which we know them
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets of one start of the server. token: of the address. cookie: what it is exchanged for.
    csrf: of forms.
    """

    token: str
    cookie: str
    csrf: str


def new_keys() -> Keys:
    """Keys that nobody can guess."""
    return Keys(*(secrets.token_urlsafe(32) for _ in range(3)))


class RefusedError(Exception):
    """A request that is not let in, and the sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status, self.sentence = status, sentence
        super().__init__(sentence)


class Guard:
    """Middleware (ASGI) before a page. host: name and port that requests must be for; "localhost"
    with the same port is taken too. A POST's fields are in `request.state.form`: the last value of
    each, line ends as "\\n".
    """

    def __init__(self, app: ASGIApp, keys: Keys, host: str) -> None:
        self.app, self.keys = app, keys
        port = host.rpartition(":")[2]
        self.hosts = {host, f"localhost:{port}"}
        self.cookie = f"polydrift_review_{port}"  # cookies are shared by all ports of a machine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # we speak no WebSocket: not answering closes it
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_raw(HEADERS)]
            await send(message)

        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            self._check_place(scope, headers)
            if self._brings_token(scope):
                await _redirect(guarded, self._cookie_to_set())
                return
            self._check_cookie(headers)
            if scope["method"] == "POST":
                self._check_origin(headers)
                form = await _form(receive, headers)
                if not _equal(form.pop("csrf", ""), self.keys.csrf):
                    raise RefusedError(
                        403, "This form is of an earlier start; load the page again."
                    )
                scope.setdefault("state", {})["form"] = form
        except RefusedError as refusal:
            await _answer(guarded, refusal)
            return
        await self.app(scope, receive, guarded)

    def _check_place(self, scope: Scope, headers: Mapping[str, str]) -> None:
        if headers.get("host", "") not in self.hosts:
            raise RefusedError(421, "This page is only served under the address that was printed.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise RefusedError(405, "This page only knows GET and POST.")

    def _brings_token(self, scope: Scope) -> bool:
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return bool(given) and _equal(given, self.keys.token)

    def _cookie_to_set(self) -> str:
        return f"{self.cookie}={self.keys.cookie}; HttpOnly; SameSite=Strict; Path=/"

    def _check_cookie(self, headers: Mapping[str, str]) -> None:
        from starlette.requests import cookie_parser  # as lenient as browsers to others' cookies

        found = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        if not _equal(found, self.keys.cookie):
            raise RefusedError(
                403,
                "Open the address that was printed when the review was started; every start has "
                "its own.",
            )

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
        ours = origin == f"http://{headers['host']}"
        if (origin and not ours) or (site and site != "same-origin") or not (origin or site):
            raise RefusedError(403, "Only the review page itself can change something here.")


async def _form(receive: Receive, headers: Mapping[str, str]) -> dict[str, str]:
    """The fields of a body."""
    if headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise RefusedError(415, "Only forms of the review page are taken.")
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "The request was cut off.")
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LARGEST:
            raise RefusedError(
                413, f"This is longer than {LARGEST // 2**20} MiB, so nothing was saved."
            )
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise RefusedError(400, "This form is not in UTF-8, or has too many fields.") from None
    return {name: values[-1].replace("\r\n", "\n") for name, values in fields.items()}


def _equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _raw(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def _redirect(send: Send, cookie: str) -> None:
    headers = _raw({"location": "/", "set-cookie": cookie, "content-length": "0"})
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, refusal: RefusedError) -> None:
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>polydrift review</title>'
        f"<p>{refusal.sentence}</p></html>"
    ).encode()
    headers = _raw({"content-type": "text/html; charset=utf-8", "content-length": str(len(body))})
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

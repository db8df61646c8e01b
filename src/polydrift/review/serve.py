"""Serving the page to the browser of the person who started it, and to nobody else.

    serve(Sitting(review, "ANNA"), announce=print)    # until Ctrl+C

Binds to 127.0.0.1 only, by default to the same port whenever this person reviews this file: what a
tab of the browser keeps, it keeps by port. If that is taken, and for port 0, it is a free one.
Whoever sits at another machine lets ssh forward the same port:
`ssh -L 8137:127.0.0.1:8137 machine`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from polydrift.errors import ModelError, StoreError
from polydrift.review.guard import new_keys
from polydrift.review.views import Sitting
from polydrift.seeds import named_seed

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below those that systems give away by themselves
INSTALL = 'pip install "polydrift[review]"'


def serve(sitting: Sitting, *, announce: Callable[[str], None], port: int | None = None) -> None:
    """Serve the page until it is interrupted.

    announce: is given the address, token and all, when it can be opened. ModelError: FastAPI is not
    installed. StoreError: a port that is taken, or may not be used.
    """
    try:
        import uvicorn

        from polydrift.review.pages import pages
    except ImportError as error:
        raise ModelError(f"the review page is served by FastAPI; {INSTALL}.") from error
    keys = new_keys()
    with _listening(sitting, port) as opened:
        host = f"{LOOPBACK}:{opened.getsockname()[1]}"
        config = uvicorn.Config(
            pages(sitting, keys, host),
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        announce(f"http://{host}/?token={keys.token}")
        uvicorn.Server(config).run(sockets=[opened])


def usual_port(sitting: Sitting) -> int:
    """The port of a person and a review, the same each time."""
    path = str(sitting.review.path.resolve())
    seed = named_seed("review port", path, sitting.lane, sitting.reviewer)
    return PORTS[seed % len(PORTS)]


def _listening(sitting: Sitting, port: int | None) -> socket.socket:
    if port is not None:
        return listening(port)
    try:
        return listening(usual_port(sitting))
    except StoreError:
        return listening(0)


def listening(port: int) -> socket.socket:
    """A socket bound to a port of this machine's own address; StoreError if that is refused."""
    opened = socket.socket()
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((LOOPBACK, port))
        opened.listen()
    except OSError as error:
        opened.close()
        raise StoreError(
            f"port {port} of {LOOPBACK} cannot be used ({error.strerror or error}); leave --port "
            "out, which takes a free one."
        ) from error
    return opened

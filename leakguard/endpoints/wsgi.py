"""Serve an ASGI application that never waits, to WSGI."""

import io
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from ..types import ASGIApp, Environ, Message, StartResponse


def answer_wsgi(app: ASGIApp, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """
    Answer one WSGI request with *app*, in the calling thread and without an event loop.

    The debug application awaits nothing but its own coroutines, so each `send` to it runs to the
    end. An event loop in a thread of its own, as a2wsgi has it, does not outlive a fork, and under
    gevent it shares the thread with the service: `asyncio.run` there fails from then on.
    """
    status = 500
    headers: list[tuple[str, str]] = []
    body = io.BytesIO()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [(name.decode("latin-1"), value.decode("latin-1"))
                       for name, value in message["headers"]]  # fmt: skip
        else:
            body.write(message.get("body", b""))

    call: Any = app(_scope_of(environ), receive, send)
    try:
        call.send(None)
    except StopIteration:
        pass
    else:
        call.close()
        raise RuntimeError("the debug application waited for something")
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body.getvalue()]


def _scope_of(environ: Environ) -> dict[str, Any]:
    path = environ.get("PATH_INFO", "")
    headers = [
        (key[5:].replace("_", "-").lower().encode(), str(value).encode("latin-1"))
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
    address = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        # WSGI hands on the bytes of the path as latin-1 (PEP 3333).
        "path": path.encode("latin-1").decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": (address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
        "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
    }

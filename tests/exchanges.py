"""Call ASGI and WSGI applications as a server would, without one."""

import asyncio
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reply:
    """What came back for one request."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


def http_scope(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return the scope of an HTTP request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("192.0.2.1", 40000),
        "server": ("testserver", 80),
        **more,
    }


def websocket_scope(path: str = "/", **more: Any) -> dict[str, Any]:
    """Return the scope of a WebSocket."""
    scope = http_scope(path, type="websocket", scheme="ws", subprotocols=[], **more)
    del scope["method"]
    return scope


async def exchange(app: Any, scope: Any, incoming: Iterable[Any] = ()) -> list[Any]:
    """
    Return the messages that *app* sends, given those that it receives.

    After these, and once the answer is complete, it receives that the client has gone.
    """
    sent: list[Any] = []
    messages = [*incoming] or [{"type": "http.request", "body": b"", "more_body": False}]
    complete = asyncio.Event()

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await complete.wait()
        return {"type": f"{_protocol(scope)}.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        sent.append(message)
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if last or message["type"] == "websocket.close":
            complete.set()

    await app(scope, receive, send)
    return sent


def _protocol(scope: Any) -> str:
    return "websocket" if scope["type"] == "websocket" else "http"


def reply_of(sent: Iterable[Any]) -> Reply:
    """Return the messages of one answer as a reply."""
    reply = Reply()
    for message in sent:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
        else:
            reply.body += message.get("body", b"")
    return reply


def ask(app: Any, path: str = "/", method: str = "GET", **more: Any) -> Reply:
    """Return what an ASGI application answers, in an event loop of its own."""
    return reply_of(asyncio.run(exchange(app, http_scope(path, method, **more))))


def environ_of(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return the environ of a request."""
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "testserver",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **more,
    }


def ask_wsgi(app: Any, path: str = "/", method: str = "GET", **more: Any) -> Reply:
    """Return what a WSGI application answers, read and closed as PEP 3333 says."""
    reply = Reply()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        reply.status, reply.headers = int(status.split()[0]), list(headers)
        return written.append

    written: list[bytes] = []
    body = app(environ_of(path, method, **more), start_response)
    try:
        chunks = list(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    reply.body = b"".join([*written, *chunks])
    return reply


def rows(guard: Any) -> dict[tuple[str, str], Any]:
    """Return the rows of a guard's report by method and route."""
    return {(row.method, row.route): row for row in guard.report().routes}


def requests(guard: Any) -> dict[str, int]:
    """Return the number of requests by `METHOD route`."""
    return {f"{row.method} {row.route}": row.requests for row in guard.report().routes}


def said(caplog: Any, event: str) -> list[dict[str, Any]]:
    """Return the keys of each log line of *event*."""
    return [
        record.leakguard
        for record in caplog.records
        if record.name == "leakguard" and record.getMessage().split(" ")[0] == event
    ]

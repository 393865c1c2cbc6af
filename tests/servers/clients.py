"""Clients that send bounded traffic over sockets, and count what they send."""

import contextlib
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from .harness import HOST, PATIENCE_S, RunningServer


class Client:
    """
    Send bounded traffic to a server, and count it by route.

    Args:
        server: Where to send it.
        concurrency: Connections, each used again and again where the server allows that.
    """

    def __init__(self, server: RunningServer, *, concurrency: int) -> None:
        self._server = server
        self._concurrency = concurrency
        self.sent: Counter[str] = Counter()
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._http = httpx.Client(limits=limits, timeout=PATIENCE_S, trust_env=False)
        self._pool = ThreadPoolExecutor(concurrency)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self._http.close()

    def send(self, names: Iterable[str], times: int) -> None:
        """Request `/name/key` *times* times for each name, all mixed."""
        paths = [f"/{name}/{number}" for number in range(times) for name in names]
        for status in self._pool.map(self._get, paths):
            assert status in (200, 500)
        self.sent.update(dict.fromkeys(names, times))

    def _get(self, path: str) -> int:
        # After an exception, servers may close the connection without a word.
        if "boom" in path or not self._server.kind.keeps_alive:
            return self._server.get(path)[0]
        return self._http.get(self._server.url + path).status_code

    def open_streams(self, names: Iterable[str], times: int) -> None:
        """Read the first event of a stream and leave, *times* times for each name."""
        paths = [f"/{name}/{number}" for number in range(times) for name in names]
        list(self._pool.map(self._listen_once, paths))
        self.sent.update(dict.fromkeys(names, times))

    def _listen_once(self, path: str) -> None:
        with httpx.stream(
            "GET", self._server.url + path, timeout=PATIENCE_S, trust_env=False
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert next(response.iter_bytes(5)) == b"data:"

    def open_sockets(self, names: Iterable[str], times: int) -> None:
        """Say something over a WebSocket and leave, *times* times for each name."""
        paths = [f"/{name}/{number}" for number in range(times) for name in names]
        list(self._pool.map(self._talk, paths))
        self.sent.update(dict.fromkeys(names, times))

    def _talk(self, path: str) -> None:
        from websockets.sync.client import connect

        url = f"ws://{HOST}:{self._server.port}{path}"
        with connect(url, proxy=None, open_timeout=PATIENCE_S) as websocket:
            websocket.send("hello")
            assert websocket.recv(timeout=PATIENCE_S) == "hello"


@contextlib.contextmanager
def raw_connection(server: RunningServer) -> Iterator[socket.socket]:
    """Open a plain socket to *server*."""
    with socket.create_connection((HOST, server.port), timeout=PATIENCE_S) as plain:
        yield plain


def raw_response(server: RunningServer, path: str, method: str = "GET") -> bytes:
    """Send one request over a plain socket; return all bytes that come back."""
    with raw_connection(server) as plain:
        plain.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: tests\r\nConnection: close\r\n\r\n".encode()
        )
        received = b""
        while chunk := plain.recv(1 << 16):
            received += chunk
    return received


def without_date(response: bytes) -> bytes:
    """Drop the one header that changes by itself."""
    head, _, body = response.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

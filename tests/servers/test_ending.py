"""A walk under way holds up neither a client nor the end of the server."""

import contextlib
import http.client
import time

import psutil
import pytest

from .clients import raw_connection
from .conftest import QUICK_PASSES
from .harness import (
    ASGI_SERVERS,
    PATIENCE_S,
    UVICORN,
    WSGI_SERVERS,
    RunningServer,
    wait_until,
)

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

LONG_WALKS = {**QUICK_PASSES, "SERVE_BALLAST": "700000"}
WALKING_NICE = 19
ENDED = [
    (UVICORN, "apps_fastapi:app"),
    (ASGI_SERVERS["uvicorn-h11-asyncio"], "apps_fastapi:app"),
    (ASGI_SERVERS["hypercorn"], "apps_fastapi:app"),
    *((kind, "apps_flask:app") for kind in WSGI_SERVERS.values()),
]
ENDED_IDS = [str(kind) for kind, _ in ENDED]


def _walking(server: RunningServer) -> set[int]:
    """Return the process ids of the server's walking children."""
    found = set()
    for process in server.family():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.nice() == WALKING_NICE and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def _wait_for_walk(server: RunningServer) -> set[int]:
    """Leave something behind for the walks to look at, and return the children of one of them."""
    found: set[int] = set()

    def walks() -> bool:
        if not found:
            server.get("/kept/again")
        found.update(_walking(server))
        return bool(found)

    wait_until(walks, "a walk is under way")
    return found


def _end(server: RunningServer) -> tuple[float, set[int]]:
    """End the server by SIGTERM; return how long that took, and which processes it has left."""
    family = server.family()
    begun = time.monotonic()
    server.process.terminate()
    server.process.wait(PATIENCE_S)
    took_s = time.monotonic() - begun
    _, alive = psutil.wait_procs(family, timeout=2)
    return took_s, {each.pid for each in alive if each.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.parametrize(("kind", "app"), ENDED, ids=ENDED_IDS)
def test_server_ends_promptly(start, kind, app):
    """
    Ended by SIGTERM, a server that has had traffic is gone at once, with all its processes.
    """
    server = start(kind, app, QUICK_PASSES)
    for _ in range(10):
        server.get("/kept/1")
    server.after_passes(1)

    took_s, left = _end(server)

    assert took_s < 5
    assert left == set()


@pytest.mark.parametrize(("kind", "app"), ENDED, ids=ENDED_IDS)
def test_server_ends_promptly_during_a_walk(start, kind, app):
    """
    Ended by SIGTERM in the middle of a walk, a server is gone at once, and its walk with it.
    """
    server = start(kind, app, LONG_WALKS)
    _wait_for_walk(server)

    took_s, left = _end(server)

    assert took_s < 5
    assert left == set()


@pytest.mark.parametrize(
    ("kind", "app"),
    [(UVICORN, "apps_fastapi:app"), (WSGI_SERVERS["gunicorn-gthread"], "apps_flask:app"),
     (WSGI_SERVERS["waitress"], "apps_flask:app")],
    ids=["uvicorn", "gunicorn-gthread", "waitress"],
)  # fmt: skip
def test_client_sees_its_connection_closed_during_a_walk(start, kind, app):
    """
    A connection that was open when the walk was forked closes for its client before that ends.
    """
    server = start(kind, app, LONG_WALKS)
    _wait_for_walk(server)

    def closes_meanwhile() -> bool:
        wait_until(lambda: not _walking(server), "no walk is under way")
        with raw_connection(server) as plain:
            plain.sendall(b"GET /ok/1 HTTP/1.1\r\nHost: tests\r\n\r\n")
            response = http.client.HTTPResponse(plain)
            response.begin()
            response.read()
            walking = _wait_for_walk(server)
            plain.sendall(b"GET /ok/2 HTTP/1.1\r\nHost: tests\r\nConnection: close\r\n\r\n")
            while plain.recv(1 << 16):
                pass
            # Not over yet, and so it did not hold the connection.
            return bool(walking & _walking(server))

    wait_until(closes_meanwhile, "a connection closes while a walk is under way")

"""Connections of an event stream, kept in a dict after their client is gone."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

pages = Blueprint("connections", __name__, url_prefix="/connections")
TICK_S = 0.05


@dataclass
class Connection:
    environ: dict[str, Any]
    events_sent: int = 0


connections: dict[int, Connection] = {}
numbers = itertools.count()


@pages.get("/leaky")
def leaky() -> Response:
    def events(connection: Connection) -> Iterator[str]:
        number = next(numbers)
        connections[number] = connection
        yield from ticks(connection)
        # A client that goes away ends the stream at a `yield`, so this line is never reached.
        del connections[number]

    return Response(events(Connection(request.environ)), mimetype="text/event-stream")


@pages.get("/mended")
def mended() -> Response:
    def events(connection: Connection) -> Iterator[str]:
        number = next(numbers)
        connections[number] = connection
        try:
            yield from ticks(connection)
        finally:
            del connections[number]

    return Response(events(Connection(request.environ)), mimetype="text/event-stream")


def ticks(connection: Connection) -> Iterator[str]:
    """Yield an event now and then, for as long as the client listens."""
    while True:
        connection.events_sent += 1
        yield f"data: {connection.events_sent}\n\n"
        time.sleep(TICK_S)

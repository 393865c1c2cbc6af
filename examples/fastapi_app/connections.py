"""Connections of an event stream, kept in a dict after their client is gone."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

router = APIRouter(prefix="/connections")
TICK_S = 0.05


@dataclass
class Connection:
    request: Request
    events_sent: int = 0


connections: dict[int, Connection] = {}
numbers = itertools.count()


@router.get("/leaky")
async def leaky(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        number = next(numbers)
        connections[number] = Connection(request)
        async for event in ticks(connections[number]):
            yield event
        # A client that goes away cancels the loop above, so this line is never reached.
        del connections[number]

    return StreamingResponse(events(), media_type="text/event-stream")


@router.get("/mended")
async def mended(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        number = next(numbers)
        connections[number] = Connection(request)
        try:
            async for event in ticks(connections[number]):
                yield event
        finally:
            del connections[number]

    return StreamingResponse(events(), media_type="text/event-stream")


async def ticks(connection: Connection) -> AsyncIterator[str]:
    """Yield an event now and then, for as long as the client listens."""
    while True:
        connection.events_sent += 1
        yield f"data: {connection.events_sent}\n\n"
        await asyncio.sleep(TICK_S)

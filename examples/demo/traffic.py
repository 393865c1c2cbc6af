"""The requests that the example gets."""

import asyncio
import random
import time
from collections.abc import Callable

import httpx
import websockets

from .plan import Example, Visit
from .server import REQUEST_TIMEOUT_S, Server
from .verdict import named

CLIENTS = 16
ROUND_S = 2.5
ROUNDS = 5
"""Rounds of traffic that are sent at least; a machine under load gets more, up to the limit."""
TRAFFIC_LIMIT_S = 35.0
EVENTS_READ = 2

Advance = Callable[[str | None], None]


async def send_round(
    client: httpx.AsyncClient, visits: tuple[Visit, ...], advance: Advance
) -> None:
    """
    Make all *visits* once over, mixed, by `CLIENTS` at a time, spread over `ROUND_S`.

    Args:
        client: Makes them.
        visits: What to ask for.
        advance: Called after each request, with what went wrong, if anything did.
    """
    mixed = [visit for visit in visits for _ in range(visit.times)]
    random.shuffle(mixed)
    planned = enumerate(mixed)
    begun = time.monotonic()

    async def be_a_client() -> None:
        for number, visit in planned:  # all clients take from this one list
            due = begun + ROUND_S * number / len(mixed)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            failure = None
            try:
                await make(visit, client, number)
            except (httpx.HTTPError, websockets.WebSocketException, OSError) as error:
                failure = f"{visit.path}: {type(error).__name__} {error}"
            advance(failure)

    await asyncio.gather(*(be_a_client() for _ in range(CLIENTS)))


async def make(visit: Visit, client: httpx.AsyncClient, number: int) -> None:
    path = visit.path.format(number=number)
    if visit.how == "socket":
        await talk(f"{client.base_url.copy_with(scheme='ws', path=path)}")
    elif visit.how == "stream":
        await listen_in(client, path)
    else:
        (await client.get(path)).raise_for_status()


async def listen_in(client: httpx.AsyncClient, path: str) -> None:
    """Read the first events of an endless stream, and go away."""
    async with client.stream("GET", path) as answer:
        answer.raise_for_status()
        lines = answer.aiter_lines()
        events = 0
        while events < EVENTS_READ:
            events += (await anext(lines)).startswith("data:")


async def talk(url: str) -> None:
    async with websockets.connect(url, open_timeout=REQUEST_TIMEOUT_S) as connection:
        await connection.send("hello")
        await connection.recv()


async def send_traffic(server: Server, example: Example, advance: Advance) -> None:
    """
    Send rounds of traffic until all leaky routes are confirmed, or the time limit has come.

    A leak is growth that goes on, so leakguard has to see several rounds; how many it sees in a
    second depends on the machine.
    """
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    begun = time.monotonic()
    sent = 0
    async with httpx.AsyncClient(
        base_url=server.url, limits=limits, timeout=REQUEST_TIMEOUT_S, trust_env=False
    ) as client:
        while time.monotonic() - begun < TRAFFIC_LIMIT_S - ROUND_S:
            await send_round(client, example.visits, advance)
            sent += 1
            if sent >= ROUNDS:
                report = await asyncio.to_thread(server.report)
                if set(example.leaky) <= named(report, "confirmed"):
                    return

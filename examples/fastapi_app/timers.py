"""A timer that is not cancelled when what it watches over is done."""

import asyncio
import logging

from fastapi import APIRouter, Request

router = APIRouter(prefix="/timers")
log = logging.getLogger(__name__)
HOUR_S = 3600


@router.get("/leaky")
async def leaky(request: Request) -> dict[str, str]:
    # The event loop keeps it, and the request with it, for an hour after the answer.
    asyncio.get_running_loop().call_later(HOUR_S, warn_of_delay, request)
    return await ship()


@router.get("/mended")
async def mended(request: Request) -> dict[str, str]:
    timer = asyncio.get_running_loop().call_later(HOUR_S, warn_of_delay, request)
    try:
        return await ship()
    finally:
        timer.cancel()


async def ship() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"state": "shipped"}


def warn_of_delay(request: Request) -> None:
    log.warning("still not shipped: %s", request.url)

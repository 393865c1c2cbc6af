"""A task that goes on after the request that started it."""

import asyncio
import contextlib

from fastapi import APIRouter, Request

router = APIRouter(prefix="/tasks")
POLL_S = 60


@router.get("/leaky")
async def leaky(request: Request) -> dict[str, int]:
    # Started and forgotten: it polls for ever, with the request among its variables.
    polling = asyncio.create_task(poll_stock(request))
    await asyncio.sleep(0)
    return {"done": polling.done()}


@router.get("/mended")
async def mended(request: Request) -> dict[str, int]:
    polling = asyncio.create_task(poll_stock(request))
    try:
        await asyncio.sleep(0)
        return {"done": polling.done()}
    finally:
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling


async def poll_stock(request: Request) -> None:
    """Look again and again, until somebody cancels."""
    while True:
        request.state.stock = 7
        await asyncio.sleep(POLL_S)

"""A stream that is read in part and never closed."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter, Request

router = APIRouter(prefix="/streams")
exports: list[AsyncIterator[str]] = []


@router.get("/leaky")
async def leaky(request: Request) -> dict[str, str]:
    rows = export(request)
    # Kept so that it can be read on later. Nobody does, and so it waits at its `yield` for ever.
    exports.append(rows)
    return {"preview": await anext(rows)}


@router.get("/mended")
async def mended(request: Request) -> dict[str, str]:
    async with aclosing(export(request)) as rows:
        return {"preview": await anext(rows)}


async def export(request: Request) -> AsyncIterator[str]:
    for number in range(1_000_000):
        yield f"{request.url.path};{number}\n"

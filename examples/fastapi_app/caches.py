"""A cache without a bound, keyed by the request itself."""

from functools import cache, lru_cache

from fastapi import APIRouter, Request

router = APIRouter(prefix="/caches")


@router.get("/leaky")
async def leaky(request: Request) -> dict[str, str]:
    return {"tenant": tenant_of_request(request)}


@router.get("/mended")
async def mended(request: Request) -> dict[str, str]:
    return {"tenant": tenant_of_host(request.url.hostname or "")}


# Each request is a new key: the cache never answers, and never lets go of one.
@cache
def tenant_of_request(request: Request) -> str:
    return (request.url.hostname or "").partition(".")[0]


# A plain value is found again, and the bound holds whatever clients send.
@lru_cache(maxsize=1000)
def tenant_of_host(host: str) -> str:
    return host.partition(".")[0]

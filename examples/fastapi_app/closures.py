"""A closure that is kept for later, and with it all that it refers to."""

from collections import deque
from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request

router = APIRouter(prefix="/closures")
INVOICE_BYTES = 50_000

resends: list[Callable[[], bytes]] = []
recent_resends: deque[Callable[[], bytes]] = deque(maxlen=100)


@router.get("/leaky")
async def leaky(request: Request) -> dict[str, int]:
    invoice = render_invoice(request.url.path)

    def resend() -> bytes:
        request.state.resent = True
        return invoice

    # The closure looks small, but keeps the invoice and the request.
    resends.append(resend)
    return {"bytes": len(invoice)}


@router.get("/mended")
async def mended(request: Request) -> dict[str, int]:
    invoice = render_invoice(request.url.path)
    # The path is enough to render it again, and a bound drops what nobody asks for any more.
    recent_resends.append(partial(render_invoice, request.url.path))
    return {"bytes": len(invoice)}


def render_invoice(path: str) -> bytes:
    return path.encode().ljust(INVOICE_BYTES)

"""A closure that is kept for later, and with it all that it refers to."""

from collections import deque
from collections.abc import Callable
from functools import partial

from flask import Blueprint, request

pages = Blueprint("closures", __name__, url_prefix="/closures")
INVOICE_BYTES = 50_000

resends: list[Callable[[], bytes]] = []
recent_resends: deque[Callable[[], bytes]] = deque(maxlen=100)


@pages.get("/leaky")
def leaky() -> dict[str, int]:
    environ = request.environ
    invoice = render_invoice(request.path)

    def resend() -> bytes:
        environ["shop.resent"] = True
        return invoice

    # The closure looks small, but keeps the invoice and the environ.
    resends.append(resend)
    return {"bytes": len(invoice)}


@pages.get("/mended")
def mended() -> dict[str, int]:
    invoice = render_invoice(request.path)
    # The path is enough to render it again, and a bound drops what nobody asks for any more.
    recent_resends.append(partial(render_invoice, request.path))
    return {"bytes": len(invoice)}


def render_invoice(path: str) -> bytes:
    return path.encode().ljust(INVOICE_BYTES)

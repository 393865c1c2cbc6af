"""A receiver for each request, on a signal that lives as long as the process."""

from blinker import signal
from flask import Blueprint, request

pages = Blueprint("listeners", __name__, url_prefix="/listeners")
price_changed = signal("price-changed")


@pages.get("/leaky")
def leaky() -> dict[str, int]:
    environ = request.environ

    def note_price(price: int) -> None:
        environ["shop.price"] = price

    # `weak=False`, because a local function would be gone at once; but nobody takes it off, and
    # its closure keeps the environ.
    price_changed.connect(note_price, weak=False)
    price_changed.send(42)
    return {"price": environ["shop.price"]}


@pages.get("/mended")
def mended() -> dict[str, int]:
    environ = request.environ

    def note_price(price: int) -> None:
        environ["shop.price"] = price

    with price_changed.connected_to(note_price):
        price_changed.send(42)
    return {"price": environ["shop.price"]}

"""A listener for each request, on an emitter that lives as long as the process."""

from fastapi import APIRouter, Request
from pyee import EventEmitter

router = APIRouter(prefix="/listeners")
bus = EventEmitter()


@router.get("/leaky")
async def leaky(request: Request) -> dict[str, int]:
    def note_price(price: int) -> None:
        request.state.price = price

    # Nobody takes it off: `bus` keeps the function, its closure keeps the request, and each
    # emit calls all that were ever added.
    bus.on("price", note_price)
    bus.emit("price", 42)
    return {"price": request.state.price}


@router.get("/mended")
async def mended(request: Request) -> dict[str, int]:
    def note_price(price: int) -> None:
        request.state.price = price

    bus.on("price", note_price)
    try:
        bus.emit("price", 42)
        return {"price": request.state.price}
    finally:
        bus.remove_listener("price", note_price)

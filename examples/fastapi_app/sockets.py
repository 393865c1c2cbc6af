"""A WebSocket that subscribes to a room and does not unsubscribe."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

router = APIRouter(prefix="/sockets")
Subscriber = Callable[[str], Awaitable[None]]


class Room:
    """Pass each message on to all who have subscribed."""

    def __init__(self) -> None:
        self.subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.remove(subscriber)


room = Room()


@router.websocket("/leaky")
async def leaky(socket: WebSocket) -> None:
    await socket.accept()

    async def deliver(message: str) -> None:
        await socket.send_text(message)

    room.subscribe(deliver)
    try:
        await echo(socket)
    except WebSocketDisconnect:
        # The client is gone, but the room goes on to keep its socket.
        return


@router.websocket("/mended")
async def mended(socket: WebSocket) -> None:
    await socket.accept()

    async def deliver(message: str) -> None:
        await socket.send_text(message)

    room.subscribe(deliver)
    try:
        await echo(socket)
    except WebSocketDisconnect:
        return
    finally:
        room.unsubscribe(deliver)


async def echo(socket: WebSocket) -> None:
    """Send back what comes in, until the client goes away."""
    while True:
        await socket.send_text(await socket.receive_text())

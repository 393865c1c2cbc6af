"""A Quart service with leaky routes and their mended twins."""

import asyncio
from typing import Any

from apps_hub import Hub
from blinker import Signal
from pyee import EventEmitter
from quart import Quart, request, websocket

from leakguard import LeakGuard

app = Quart(__name__)
bus = EventEmitter()
changed = Signal()
hub = Hub()


def _this_request() -> Any:
    return request._get_current_object()


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.route("/list", methods=["GET", "HEAD", "OPTIONS"])
async def whole() -> str:
    return "whole"


@app.get("/ok/<key>")
async def ok(key: str) -> str:
    return key


@app.get("/boom/<key>")
async def boom(key: str) -> str:
    raise RuntimeError(key)


@app.get("/listener/<key>")
async def listener(key: str) -> str:
    this = _this_request()
    bus.on("tick", lambda: this)
    return key


@app.get("/listener-mended/<key>")
async def listener_mended(key: str) -> str:
    this = _this_request()

    def hear() -> Any:
        return this

    bus.on("tock", hear)
    try:
        await asyncio.sleep(0)
    finally:
        bus.remove_listener("tock", hear)
    return key


@app.get("/signal/<key>")
async def signal(key: str) -> str:
    this = _this_request()
    changed.connect(lambda sender: this, weak=False)
    return key


@app.get("/signal-mended/<key>")
async def signal_mended(key: str) -> str:
    this = _this_request()

    def hear(sender: object) -> Any:
        return this

    changed.connect(hear)
    return key


@app.get("/kept/<key>")
async def kept(key: str) -> str:
    hub.keep(_this_request())
    return key


@app.get("/kept-mended/<key>")
async def kept_mended(key: str) -> str:
    number = hub.keep(_this_request())
    try:
        await asyncio.sleep(0)
    finally:
        del hub.requests[number]
    return key


@app.get("/closure/<key>")
async def closure(key: str) -> str:
    this = _this_request()
    hub.callbacks.append(lambda: this)
    return key


@app.get("/closure-mended/<key>")
async def closure_mended(key: str) -> str:
    this = _this_request()
    hub.callbacks.append(lambda: this)
    hub.callbacks.pop()
    return key


@app.websocket("/socket/<key>")
async def socket(key: str) -> None:
    this = websocket._get_current_object()
    bus.on("news", lambda: this)
    await websocket.accept()
    while True:
        await websocket.send(await websocket.receive())


@app.websocket("/socket-mended/<key>")
async def socket_mended(key: str) -> None:
    this = websocket._get_current_object()

    def hear() -> Any:
        return this

    bus.on("olds", hear)
    try:
        await websocket.accept()
        while True:
            await websocket.send(await websocket.receive())
    finally:
        bus.remove_listener("olds", hear)


guard = LeakGuard()
guard.install(app)

"""A FastAPI service with leaky routes and their mended twins."""

import asyncio
from collections.abc import AsyncIterator

from apps_hub import CHUNKS, ETAG, FILE, GUARDED, LIST_BODY, Hub
from blinker import Signal
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from pyee import EventEmitter

from leakguard import LeakGuard

HOUR_S = 3600.0

app = FastAPI()
bus = EventEmitter()
changed = Signal()
hub = Hub()
never = asyncio.Event()


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.get("/ok/{key}")
async def ok(request: Request, key: str) -> str:
    await asyncio.sleep(0)
    return key


# Leaky routes, each followed by its mended twin.


@app.get("/listener/{key}")
async def listener(request: Request, key: str) -> str:
    bus.on("tick", lambda: request)
    return key


@app.get("/listener-mended/{key}")
async def listener_mended(request: Request, key: str) -> str:
    def hear() -> Request:
        return request

    bus.on("tock", hear)
    try:
        await asyncio.sleep(0)
    finally:
        bus.remove_listener("tock", hear)
    return key


@app.get("/signal/{key}")
async def signal(request: Request, key: str) -> str:
    changed.connect(lambda sender: request, weak=False)
    return key


@app.get("/signal-mended/{key}")
async def signal_mended(request: Request, key: str) -> str:
    def hear(sender: object) -> Request:
        return request

    changed.connect(hear)
    return key


@app.get("/kept/{key}")
async def kept(request: Request, key: str) -> str:
    hub.keep(request)
    return key


@app.get("/kept-mended/{key}")
async def kept_mended(request: Request, key: str) -> str:
    number = hub.keep(request)
    try:
        await asyncio.sleep(0)
    finally:
        del hub.requests[number]
    return key


@app.get("/closure/{key}")
async def closure(request: Request, key: str) -> str:
    hub.callbacks.append(lambda: request)
    return key


@app.get("/closure-mended/{key}")
async def closure_mended(request: Request, key: str) -> str:
    hub.callbacks.append(lambda: request)
    hub.callbacks.pop()
    return key


@app.get("/task/{key}")
async def task(request: Request, key: str) -> str:
    asyncio.create_task(never.wait())  # noqa: RUF006
    return key


@app.get("/task-mended/{key}")
async def task_mended(request: Request, key: str) -> str:
    waiting = asyncio.create_task(never.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    return key


@app.get("/timer/{key}")
async def timer(request: Request, key: str) -> str:
    asyncio.get_running_loop().call_later(HOUR_S, print, "too late")
    return key


@app.get("/timer-mended/{key}")
async def timer_mended(request: Request, key: str) -> str:
    handle = asyncio.get_running_loop().call_later(HOUR_S, print, "too late")
    await asyncio.sleep(0)
    handle.cancel()
    return key


@app.get("/deferred/{key}")
async def deferred(request: Request, key: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(hub.done.append, request)
    return key


@app.get("/deferred-mended/{key}")
async def deferred_mended(request: Request, key: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(str, request)
    return key


@app.get("/threaded/{key}")
def threaded(request: Request, key: str) -> str:
    bus.on("thread", lambda: request)
    return key


@app.get("/threaded-mended/{key}")
def threaded_mended(request: Request, key: str) -> str:
    return key


async def _ticks(number: int | None) -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"data: tick\n\n"
            await asyncio.sleep(0.01)
    finally:
        if number is not None:
            del hub.streams[number]


@app.get("/events/{key}")
async def events(request: Request, key: str) -> StreamingResponse:
    hub.open_stream(request)
    return StreamingResponse(_ticks(None), media_type="text/event-stream")


@app.get("/events-mended/{key}")
async def events_mended(request: Request, key: str) -> StreamingResponse:
    return StreamingResponse(_ticks(hub.open_stream(request)), media_type="text/event-stream")


@app.websocket("/socket/{key}")
async def socket(websocket: WebSocket, key: str) -> None:
    bus.on("news", lambda: websocket)
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


@app.websocket("/socket-mended/{key}")
async def socket_mended(websocket: WebSocket, key: str) -> None:
    def hear() -> WebSocket:
        return websocket

    bus.on("olds", hear)
    try:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)
    finally:
        bus.remove_listener("olds", hear)


# What must arrive byte for byte.


@app.get("/boom/{key}")
async def boom(key: str) -> str:
    raise RuntimeError(key)


@app.api_route("/list", methods=["GET", "HEAD", "OPTIONS"])
async def whole() -> PlainTextResponse:
    return PlainTextResponse(b"".join(LIST_BODY))


@app.get("/generated")
async def generated() -> StreamingResponse:
    return StreamingResponse(iter(CHUNKS), media_type="text/plain")


@app.get("/streamed")
async def streamed() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            await asyncio.sleep(0)
            yield chunk

    return StreamingResponse(chunks(), media_type="text/plain")


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(FILE)


@app.get("/unchanged")
async def unchanged() -> Response:
    return Response(status_code=304, headers={"ETag": ETAG})


if GUARDED:
    guard = LeakGuard()
    guard.install(app)

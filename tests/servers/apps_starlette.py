"""A Starlette service with leaky routes and their mended twins, some of them below a mount."""

import asyncio

from apps_hub import Hub
from blinker import Signal
from pyee import EventEmitter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from leakguard import LeakGuardMiddleware

bus = EventEmitter()
changed = Signal()
hub = Hub()
never = asyncio.Event()


def _answer(request: Request) -> Response:
    return PlainTextResponse(request.path_params.get("key", "ready"))


async def ok(request: Request) -> Response:
    return _answer(request)


async def listener(request: Request) -> Response:
    bus.on("tick", lambda: request)
    return _answer(request)


async def listener_mended(request: Request) -> Response:
    def hear() -> Request:
        return request

    bus.on("tock", hear)
    try:
        return _answer(request)
    finally:
        bus.remove_listener("tock", hear)


async def signal(request: Request) -> Response:
    changed.connect(lambda sender: request, weak=False)
    return _answer(request)


async def signal_mended(request: Request) -> Response:
    def hear(sender: object) -> Request:
        return request

    changed.connect(hear)
    return _answer(request)


async def kept(request: Request) -> Response:
    hub.keep(request)
    return _answer(request)


async def kept_mended(request: Request) -> Response:
    number = hub.keep(request)
    try:
        return _answer(request)
    finally:
        del hub.requests[number]


async def closure(request: Request) -> Response:
    hub.callbacks.append(lambda: request)
    return _answer(request)


async def closure_mended(request: Request) -> Response:
    hub.callbacks.append(lambda: request)
    hub.callbacks.pop()
    return _answer(request)


async def task(request: Request) -> Response:
    asyncio.create_task(never.wait())  # noqa: RUF006
    return _answer(request)


async def task_mended(request: Request) -> Response:
    waiting = asyncio.create_task(never.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    return _answer(request)


async def boom(request: Request) -> Response:
    raise RuntimeError(request.path_params["key"])


async def whole(request: Request) -> Response:
    return PlainTextResponse("whole")


inner = [
    Route("/kept/{key}", kept),
    Route("/kept-mended/{key}", kept_mended),
    Route("/closure/{key}", closure),
    Route("/closure-mended/{key}", closure_mended),
]
app = LeakGuardMiddleware(
    Starlette(
        routes=[
            Route("/ready", ok),
            Route("/list", whole, methods=["GET", "HEAD", "OPTIONS"]),
            Route("/ok/{key}", ok),
            Route("/boom/{key}", boom),
            Route("/listener/{key}", listener),
            Route("/listener-mended/{key}", listener_mended),
            Route("/signal/{key}", signal),
            Route("/signal-mended/{key}", signal_mended),
            Route("/task/{key}", task),
            Route("/task-mended/{key}", task_mended),
            Mount("/inner", routes=inner),
        ]
    )
)

"""Where a request enters an ASGI application."""

from types import CoroutineType
from typing import Any

from ..core.trace import CURRENT, OpenTrace
from ..tracing.steps import drive, drive_sampled
from ..tracing.tracer import THREADS, Tracer
from ..types import ASGIApp, Door, Message, Receive, Scope, Send
from .adapters import adapt
from .routes import RouteTable


class TracingMiddleware:
    """
    Trace every HTTP request and WebSocket on its way through *app*, and serve the debug URLs.

    What the application receives and sends passes by untouched.

    Args:
        app: The ASGI application to wrap.
        tracer: Opens a trace as a request arrives, closes it after the response.
        door: Knows which URLs are leakguard's own, and answers them.
    """

    def __init__(self, app: ASGIApp, *, tracer: Tracer, door: Door) -> None:
        self.app = app
        self.tracer = tracer
        self._door = door
        self._marker = door.marker
        self._routes = RouteTable(app, registry=tracer.registry, faults=tracer.faults)
        tracer.wraps(app)
        adapt(app, tracer.owner)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One long function, because each further coroutine costs a request 0.3 us.
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            await self._call_other(scope, receive, send)
            return
        own = self._marker in scope["path"] and kind == "http"
        if own and self._door.claims(_below_root(scope)):
            await self._door.asgi(scope, receive, send)
            return
        tracer = self.tracer
        trace = tracer.open(scope)
        if trace is None:
            await self.app(scope, receive, send)
            return
        if tracer.on_trace is not None:
            send = _reading_status(send, trace)
        trace.finder = self._routes
        token = CURRENT.set(trace)
        try:
            call: Any = self.app(scope, receive, send)
            if type(call) is not CoroutineType:
                trace.exclusive = False
                await call
            else:
                sampler = tracer.sampler
                sampler.left -= 1
                if sampler.left > 0:
                    await drive(call, trace, tracer.gauge)
                else:
                    await drive_sampled(call, trace, tracer.gauge, sampler)
        finally:
            try:
                CURRENT.reset(token)
            except ValueError:  # ended in another context than it began in
                trace.exclusive = False
            if len(THREADS) > tracer.own_threads:
                trace.exclusive = False
            tracer.close(trace, self._routes.record_of(trace, scope))

    async def _call_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "lifespan":
                self.tracer.rest()


def _below_root(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _reading_status(send: Send, trace: OpenTrace) -> Send:
    async def reading(message: Message) -> None:
        if message["type"] == "http.response.start":
            trace.status = message["status"]
        await send(message)

    return reading

"""Where a request enters a WSGI application, and where it ends: at its iterable's `close`."""

import sys
from collections.abc import Iterable, Iterator
from contextvars import Token
from gc import get_count
from typing import Any

from ..core.trace import CURRENT, OpenTrace
from ..tracing.tracer import Tracer
from ..types import Door, Environ, StartResponse, WSGIApp
from .adapters import adapt
from .rules import RuleReader


class TracingWSGIMiddleware:
    """
    Trace every request on its way through *app*, and serve the debug URLs.

    Args:
        app: The WSGI application to wrap.
        tracer: Opens a trace as a request arrives, closes it when its iterable is closed.
        door: Knows which URLs are leakguard's own, and answers them.
    """

    def __init__(self, app: WSGIApp, *, tracer: Tracer, door: Door) -> None:
        self.app = app
        self.tracer = tracer
        self.rules = RuleReader(app, registry=tracer.registry, faults=tracer.faults)
        self._door = door
        self._marker = door.marker
        # uWSGI empties the environ after each request, and the canary would die too soon: there
        # it lives in Flask's request as well.
        self._clears_environ = "uwsgi" in sys.modules
        tracer.wraps(app)
        adapt(app, tracer.owner)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if self._marker in path and self._door.claims(path):
            return self._door.wsgi(environ, start_response)
        trace = self.tracer.open(environ)
        if trace is None:
            return self.app(environ, start_response)
        trace.finder = self.rules
        tracer = self.tracer
        exchange = _Exchange()
        exchange.guarded, exchange.trace = self, trace
        exchange.token = CURRENT.set(trace)
        if tracer.active > 1:
            trace.exclusive = False
        sampler = tracer.sampler
        sampler.left -= 1
        exchange.blocks = sampler.read() if sampler.left <= 0 else None
        exchange.before = tracer.gauge.base + get_count()[0]
        try:
            body = self.app(environ, _noting(start_response, trace, self._clears_environ))
        except BaseException:
            exchange.end()
            raise
        kind = type(body)
        if kind is list or kind is tuple or kind is environ.get("wsgi.file_wrapper"):
            # All is computed, and the server may look at the type: it tells the length, or
            # lets it send the file from the kernel.
            exchange.end()
            return body
        exchange.body = body
        return _SizedExchange(exchange) if hasattr(body, "__len__") else exchange


def _noting(start_response: StartResponse, trace: OpenTrace, clears_environ: bool) -> StartResponse:
    """Wrap *start_response*; the wrapper is free of the body, which often holds it."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        environ = trace.scope
        if environ is not None:
            trace.status = status
            # Flask forgets its request before the application returns, so it is read here.
            request = environ.get("werkzeug.request")
            if request is not None:
                try:
                    trace.rule = request.url_rule
                    if clears_environ:
                        request.__dict__["leakguard"] = trace.canary
                except Exception:  # anything may stand under that key
                    trace.rule = None
        return start_response(status, headers, *exc_info)

    return start


class _Exchange:
    """
    Follow one request to its end, and stand for the iterable that the application returned.

    What a request allocates is read once before and once after it: exact where it ran alone. It
    is filled where it is made, as a constructor would cost each request more.
    """

    __slots__ = ("before", "blocks", "body", "guarded", "token", "trace")
    before: int
    blocks: int | None
    body: Any
    guarded: TracingWSGIMiddleware
    token: Token[OpenTrace | None]
    trace: OpenTrace | None

    def __iter__(self) -> Iterator[bytes]:
        # The application's own iterator: a call less for every chunk.
        return iter(self.body)

    def close(self) -> None:
        """Close the application's iterable, and with it the request."""
        body = self.body
        self.body = None
        try:
            if hasattr(body, "close"):
                body.close()
        finally:
            body = None  # let go of it, so that it counts as freed
            self.end()

    def __del__(self) -> None:
        # A server that does not close what it was given, against PEP 3333, ends the request here.
        if self.trace is not None:
            self.end()

    def end(self) -> None:
        """Close the trace, once."""
        trace = self.trace
        if trace is None:
            return
        self.trace = None
        guarded = self.guarded
        tracer = guarded.tracer
        count = get_count()[0]
        trace.objects = tracer.gauge.base + count - self.before
        try:
            if CURRENT.get() is trace:
                before = self.token.old_value
                # One that ended out of turn, or on another thread, is not to become current again.
                if type(before) is OpenTrace and before.record is not None:
                    CURRENT.set(None)
                else:
                    CURRENT.reset(self.token)
        except ValueError:  # ended in another context than it began in
            trace.exclusive = False
        if not count or tracer.latest != trace.serial or not trace.exclusive:
            trace.exclusive = trace.measured = False
        elif self.blocks is not None:
            trace.blocks = tracer.sampler.read() - self.blocks
        record = guarded.rules.record_of(trace, trace.scope)
        trace.rule = None
        tracer.close(trace, record)


class _SizedExchange:
    """An exchange with a length, from which a server computes the `Content-Length`."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __len__(self) -> int:
        return len(self._exchange.body)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._exchange)

    def close(self) -> None:
        self._exchange.close()

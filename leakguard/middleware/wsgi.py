"""Where a request enters a WSGI application, and where it ends: at its iterable's `close`."""

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
        tracer.wraps(app)
        adapt(app)

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
        exchange.guarded, exchange.trace, exchange.environ = self, trace, environ
        exchange.start_response = start_response
        exchange.token = CURRENT.set(trace)
        if tracer.active > 1:
            trace.exclusive = False
        sampler = tracer.sampler
        sampler.left -= 1
        exchange.blocks = sampler.read() if sampler.left <= 0 else None
        exchange.before = tracer.gauge.base + get_count()[0]
        try:
            body = self.app(environ, exchange.start)
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


class _Exchange:
    """
    Follow one request to its end, and stand for the iterable that the application returned.

    What a request allocates is read once before and once after it: exact where it ran alone. It
    is filled where it is made, as a constructor would cost each request more.
    """

    __slots__ = (
        "before", "blocks", "body", "environ", "guarded", "start_response", "token",
        "trace",
    )  # fmt: skip
    before: int
    blocks: int | None
    body: Any
    environ: Environ
    guarded: TracingWSGIMiddleware
    start_response: StartResponse
    token: Token[OpenTrace | None]
    trace: OpenTrace | None

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Stand for the server's `start_response`."""
        trace = self.trace
        if trace is not None:
            trace.status = status
            # Flask forgets its request before the application returns, so it is read here.
            with_rule = self.environ.get("werkzeug.request")
            if with_rule is not None:
                trace.rule = getattr(with_rule, "url_rule", None)
        return self.start_response(status, headers, *exc_info)

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
                CURRENT.reset(self.token)
        except ValueError:  # ended in another context or thread than it began in
            trace.exclusive = False
        if not count or tracer.latest != trace.serial or not trace.exclusive:
            trace.exclusive = trace.measured = False
        elif self.blocks is not None:
            trace.blocks = tracer.sampler.read() - self.blocks
        tracer.close(trace, guarded.rules.record_of(trace, self.environ))


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

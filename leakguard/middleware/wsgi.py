"""Where a request enters a WSGI application, and where it ends: at its iterable's `close`."""

from collections.abc import Iterable, Iterator
from contextvars import Token
from gc import get_count
from typing import Any

from ..core.trace import CURRENT, OpenTrace, leave
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
        exchange = _Exchange(self, trace, environ, start_response)
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
        exchange.chunks = iter(body)
        exchange.body = body
        if hasattr(kind, "__len__"):
            return _SizedExchange(exchange)
        return exchange


class _Exchange:
    """
    Follow one request to its end, and stand for the iterable that the application returned.

    What a request allocates is read once before and once after it: exact where it ran alone.
    """

    __slots__ = (
        "_before", "_blocks", "_environ", "_guarded", "_start_response", "_token", "_trace",
        "body", "chunks",
    )  # fmt: skip

    def __init__(
        self,
        guarded: TracingWSGIMiddleware,
        trace: OpenTrace,
        environ: Environ,
        start_response: StartResponse,
    ) -> None:
        self._guarded = guarded
        self._trace: OpenTrace | None = trace
        trace.finder = guarded.rules
        self._environ = environ
        self._start_response = start_response
        self._token: Token[OpenTrace | None] = CURRENT.set(trace)
        tracer = guarded.tracer
        if tracer.active > 1:
            trace.exclusive = False
        self._blocks = tracer.sampler.read() if tracer.sampler.due() else None
        self.body: Any = None
        self.chunks: Any = None
        self._before = tracer.gauge.base + get_count()[0]

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Stand for the server's `start_response`."""
        trace = self._trace
        if trace is not None:
            # Flask forgets its request before the application returns, so it is read here.
            self._guarded.rules.note(trace, self._environ)
            trace.status = status
        return self._start_response(status, headers, *exc_info)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = next(self.chunks)
        return chunk

    def close(self) -> None:
        """Close the application's iterable, and with it the request."""
        body, self.body = self.body, None
        self.chunks = None
        try:
            if hasattr(body, "close"):
                body.close()
        finally:
            body = None  # let go of it, so that it counts as freed
            self.end()

    def __del__(self) -> None:
        # A server that does not close what it was given, against PEP 3333, ends the request here.
        if self._trace is not None:
            self.end()

    def end(self) -> None:
        """Close the trace, once."""
        trace, self._trace = self._trace, None
        if trace is None:
            return
        tracer = self._guarded.tracer
        count = get_count()[0]
        trace.objects = tracer.gauge.base + count - self._before
        leave(trace, self._token)
        if not count or tracer.latest != trace.serial:
            trace.exclusive = False
        if not trace.exclusive:
            trace.measured = False
        elif self._blocks is not None:
            trace.blocks = tracer.sampler.read() - self._blocks
        tracer.close(trace, self._guarded.rules.record_of(trace, self._environ))


class _SizedExchange:
    """An exchange with a length, from which a server computes the `Content-Length`."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __len__(self) -> int:
        return len(self._exchange.body)

    def __iter__(self) -> Iterator[bytes]:
        return self._exchange

    def close(self) -> None:
        self._exchange.close()

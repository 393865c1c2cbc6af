"""The shapes of what passes through: ASGI and WSGI callables, and the small seams between parts."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Environ = dict[str, Any]


class Clock(Protocol):
    """Read a clock, in seconds."""

    def __call__(self) -> float: ...


class Log(Protocol):
    """Say one event, a fixed string with keys beside it."""

    def __call__(self, level: str, event: str, **keys: object) -> None: ...


class StartResponse(Protocol):
    """Begin a WSGI response."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]: ...


WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class Door(Protocol):
    """Answer the debug URLs, for the middleware that they reach first."""

    marker: str
    """Part of every path that `claims` can say yes to."""

    def claims(self, path: str) -> bool:
        """Tell whether *path* is one of leakguard's own."""

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a WSGI request."""

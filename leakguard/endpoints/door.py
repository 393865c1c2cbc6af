"""Which URLs are leakguard's own, and how they are answered in ASGI and in WSGI."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio.to_thread

from ..types import Environ, Receive, Scope, Send, StartResponse
from .auth import Gate
from .debug import Source, debug_app
from .wsgi import answer_wsgi

_PAGES = ("memory", "snapshot", "snapshots")


class DebugDoor:
    """
    Answer the debug URLs, for the middleware that they reach first.

    Args:
        source: What is shown.
        gate: Who may see it; `None`: nobody.
        prefix: Path under which the URLs stand.
        on_closed: Called when a URL is asked for although nobody can be let in.
        on_error: Gets what went wrong while a request was answered.
    """

    def __init__(
        self,
        source: Source,
        gate: Gate | None,
        *,
        prefix: str,
        on_closed: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.marker = f"{prefix}/"
        self._closed = gate is None
        self._on_closed = on_closed
        self._asgi = debug_app(source, gate, prefix=prefix, offload=_in_thread, resolve=_awaited,
                               on_error=on_error)  # fmt: skip
        self._wsgi = debug_app(source, gate, prefix=prefix, offload=_here, resolve=_in_own_loop,
                               on_error=on_error)  # fmt: skip

    def claims(self, path: str) -> bool:
        """Tell whether *path* is one of leakguard's own; others below the prefix are not."""
        head, _, rest = path.partition(self.marker)
        return not head and rest.partition("/")[0] in _PAGES

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if self._closed:
            self._on_closed()
        root_path = scope.get("root_path", "")
        own = dict(scope, path=scope["path"].removeprefix(root_path), root_path="")
        await self._asgi(own, receive, send)

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a WSGI request."""
        if self._closed:
            self._on_closed()
        return answer_wsgi(self._wsgi, environ, start_response)


async def _in_thread(function: Callable[[], Any]) -> Any:
    # A limiter of its own, so that walks take no place in the pool that serves the application.
    return await anyio.to_thread.run_sync(function, limiter=anyio.CapacityLimiter(1))


async def _here(function: Callable[[], Any]) -> Any:
    return function()


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


async def _in_own_loop(answer: Awaitable[Any]) -> Any:
    """Run an async authorizer of a WSGI service to its end, in an event loop of its own thread."""

    async def run() -> Any:
        return await answer

    result: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            result.append(asyncio.run(run()))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target, name="leakguard-authorize")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]

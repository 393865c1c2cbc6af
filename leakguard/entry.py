"""The middleware classes that an application is wrapped in without the facade."""

from typing import Any

from .guard import LeakGuard
from .middleware.asgi import TracingMiddleware
from .middleware.wsgi import TracingWSGIMiddleware
from .types import ASGIApp, WSGIApp


class LeakGuardMiddleware(TracingMiddleware):
    """
    Follow every request of an ASGI application, and serve the debug endpoints.

    Args:
        app: The application to wrap.
        guard: The guard to use, or
        **settings: the settings of one of its own, as `LeakGuard` takes them.
    """

    def __init__(self, app: ASGIApp, *, guard: LeakGuard | None = None, **settings: Any) -> None:
        self.guard = _one_guard(guard, settings)
        super().__init__(app, tracer=self.guard.tracer, door=self.guard.door)


class LeakGuardWSGIMiddleware(TracingWSGIMiddleware):
    """
    Follow every request of a WSGI application, and serve the debug endpoints.

    Args:
        app: The application to wrap.
        guard: The guard to use, or
        **settings: the settings of one of its own, as `LeakGuard` takes them.
    """

    def __init__(self, app: WSGIApp, *, guard: LeakGuard | None = None, **settings: Any) -> None:
        self.guard = _one_guard(guard, settings)
        super().__init__(app, tracer=self.guard.tracer, door=self.guard.door)


def _one_guard(guard: LeakGuard | None, settings: dict[str, Any]) -> LeakGuard:
    if guard is not None and settings:
        given = ", ".join(sorted(settings))
        raise TypeError(f"give either a guard or settings of its own, got a guard and {given}")
    return guard if guard is not None else LeakGuard(**settings)

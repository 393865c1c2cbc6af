"""Wrap an application where its framework has a place for that, else from outside."""

import inspect
from typing import Any

from ..exceptions import InstallError
from ..tracing.tracer import Tracer
from ..types import Door
from .asgi import TracingMiddleware
from .wsgi import TracingWSGIMiddleware


def install(app: Any, *, tracer: Tracer, door: Door) -> Any:
    """
    Trace the requests of *app*; doing so twice is harmless.

    Returns:
        *app* itself for FastAPI, Starlette, Flask and Quart; for any other ASGI or WSGI callable,
        the wrapped one, which is to be served in its place.

    Raises:
        InstallError: *app* is neither, or a Starlette application that serves already.
    """
    if hasattr(app, "user_middleware") and hasattr(app, "add_middleware"):
        return _into_starlette(app, tracer, door)
    for name, wrapper in (
        ("asgi_app", TracingMiddleware),  # Quart
        ("wsgi_app", TracingWSGIMiddleware),  # Flask
    ):
        if hasattr(app, name):
            inner = getattr(app, name)
            if not _is_ours(inner, tracer):
                setattr(app, name, wrapper(inner, tracer=tracer, door=door))
            return app
    if _is_ours(app, tracer):
        return app
    if _is_asgi(app):
        return TracingMiddleware(app, tracer=tracer, door=door)
    return TracingWSGIMiddleware(app, tracer=tracer, door=door)


def _into_starlette(app: Any, tracer: Tracer, door: Door) -> Any:
    for each in app.user_middleware:
        # Starlette before 0.35 has `options`.
        options = getattr(each, "kwargs", None) or getattr(each, "options", {})
        if each.cls is TracingMiddleware and options.get("tracer") is tracer:
            return app
    try:
        app.add_middleware(TracingMiddleware, tracer=tracer, door=door)
    except RuntimeError as error:
        raise InstallError(f"install must come before the first request: {error}") from error
    return app


def _is_ours(app: Any, tracer: Tracer) -> bool:
    return isinstance(app, TracingMiddleware | TracingWSGIMiddleware) and app.tracer is tracer


def _is_asgi(app: Any) -> bool:
    """
    Tell an ASGI callable from a WSGI one.

    Raises:
        InstallError: It is neither.
    """
    if not callable(app):
        raise InstallError(
            f"install needs an ASGI or WSGI application, got {type(app).__name__}, which cannot "
            "be called"
        )
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        return True
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):  # C code without a signature
        parameters = ()  # type: ignore[assignment]
    needed = [each for each in parameters
              if each.default is each.empty and each.kind in _POSITIONAL]  # fmt: skip
    if len(needed) == 3:
        return True
    if len(needed) == 2:
        return False
    raise InstallError(
        "install needs an ASGI application, called with (scope, receive, send), or a WSGI one, "
        f"called with (environ, start_response); got {type(app).__name__} with {len(needed)} "
        "parameters. Wrap it in LeakGuardMiddleware or LeakGuardWSGIMiddleware yourself"
    )


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

"""Frameworks that do not leave a request's route in its scope or environ."""

from types import MethodType
from typing import Any

from ..core.site import site_of_function
from ..core.trace import CURRENT


def adapt(app: Any) -> None:
    """Have Django and Quart note the route of each request on its trace; twice is harmless."""
    owner = app.__self__ if type(app) is MethodType else app
    for kind in type(owner).__mro__:
        if kind.__module__.startswith("django.core.handlers."):
            _adapt_django(owner)
            return
        if kind.__module__ == "quart.app":
            from .quart import note_rules

            note_rules(owner)
            return


def _adapt_django(handler: Any) -> None:
    original = handler.resolve_request
    if getattr(original, "leakguard", False):
        return

    def resolve_request(request: Any) -> Any:
        match = original(request)
        trace = CURRENT.get()
        if trace is not None:
            trace.route = f"/{match.route}"
            trace.handler = site_of_function(match.func, "handler")
        return match

    resolve_request.leakguard = True  # type: ignore[attr-defined]
    handler.resolve_request = resolve_request

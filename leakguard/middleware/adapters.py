"""Frameworks that do not leave a request's route in its scope or environ."""

from types import MethodType
from typing import Any

from ..core.site import site_of_function
from ..core.trace import current_trace

_NAME = "leakguard_for"


def adapt(app: Any, owner: object) -> None:
    """
    Have Django, Flask and Quart note routes on the traces of *owner*'s guard, where needed.

    Doing so twice for one guard is harmless.
    """
    framework = app.__self__ if type(app) is MethodType else app
    for kind in type(framework).__mro__:
        if kind.__module__.startswith("django.core.handlers."):
            _adapt_django(framework, owner)
            return
        if kind.__module__ == "flask.app":
            from .flask import note_failures

            note_failures(framework, owner)
            return
        if kind.__module__ == "quart.app":
            from .quart import note_rules

            note_rules(framework, owner)
            return


def _adapt_django(handler: Any, owner: object) -> None:
    original = handler.resolve_request
    if owner in getattr(original, _NAME, ()):
        return

    def resolve_request(request: Any) -> Any:
        match = original(request)
        trace = current_trace(owner)
        if trace is not None:
            trace.route = f"/{match.route}"
            trace.handler = site_of_function(match.func, "handler")
        return match

    setattr(resolve_request, _NAME, (*getattr(original, _NAME, ()), owner))
    handler.resolve_request = resolve_request

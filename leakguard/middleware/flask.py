"""Read the rule of a Flask request that ends in an exception."""

from typing import Any

from flask import Flask, got_request_exception, request

from ..core.trace import current_trace

_KEY = "leakguard"


def note_failures(app: Flask, owner: object) -> None:
    """
    Note the rule of each request of *app* that raises, on the trace of *owner*'s guard.

    Flask forgets its request before the exception leaves it, and then has not answered either.
    Calling it twice for one guard is harmless.
    """
    noting = app.extensions.setdefault(_KEY, {})
    if owner in noting:
        return

    def note(_app: Flask, **_: Any) -> None:
        trace = current_trace(owner)
        if trace is not None:
            trace.rule = request.url_rule

    noting[owner] = note
    got_request_exception.connect(note, app)

"""Read the rule that Quart matched."""

from typing import Any

from quart import Quart, request, request_started, websocket, websocket_started

from ..core.site import site_of_function
from ..core.trace import current_trace

_KEY = "leakguard"


def note_rules(app: Quart, owner: object) -> None:
    """
    Note the rule of each of *app*'s requests on the trace of *owner*'s guard.

    Calling it twice for one guard is harmless.
    """
    noting = app.extensions.setdefault(_KEY, {})
    if owner in noting:
        return

    def note_request(sender: Quart, **_: Any) -> None:
        _note(sender, request.url_rule, owner)

    def note_websocket(sender: Quart, **_: Any) -> None:
        _note(sender, websocket.url_rule, owner)

    noting[owner] = (note_request, note_websocket)
    request_started.connect(note_request, app)
    websocket_started.connect(note_websocket, app)


def _note(app: Quart, rule: Any, owner: object) -> None:
    trace = current_trace(owner)
    if trace is not None and rule is not None:
        trace.route = rule.rule
        trace.handler = site_of_function(app.view_functions.get(rule.endpoint), "handler")

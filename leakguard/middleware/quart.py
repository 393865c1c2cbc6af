"""Read the rule that Quart matched."""

from typing import Any

from quart import Quart, request, request_started, websocket, websocket_started

from ..core.site import site_of_function
from ..core.trace import CURRENT

_KEY = "leakguard"


def note_rules(app: Quart) -> None:
    """Note the rule of each of *app*'s requests on its trace. Calling it twice is harmless."""
    if _KEY in app.extensions:
        return

    def note_request(sender: Quart, **_: Any) -> None:
        _note(sender, request.url_rule)

    def note_websocket(sender: Quart, **_: Any) -> None:
        _note(sender, websocket.url_rule)

    app.extensions[_KEY] = (note_request, note_websocket)
    request_started.connect(note_request, app)
    websocket_started.connect(note_websocket, app)


def _note(app: Quart, rule: Any) -> None:
    trace = CURRENT.get()
    if trace is not None and rule is not None:
        trace.route = rule.rule
        trace.handler = site_of_function(app.view_functions.get(rule.endpoint), "handler")

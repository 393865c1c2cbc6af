"""Which route template a WSGI request was matched to."""

from typing import Any

from ..core.faults import Faults
from ..core.registry import OTHER, UNMATCHED, Registry, RouteRecord
from ..core.site import site_of_function
from ..core.trace import OpenTrace
from ..types import Environ


class RuleReader:
    """
    Read the rule that Werkzeug matched, from the request that it leaves in the environ.

    Args:
        app: The wrapped application. Where it is Flask's, or a method of it, a route's handler
            is known, too.
        registry: Holds the records.
        faults: Counts errors of this part, `routes`.
    """

    def __init__(self, app: Any, *, registry: Registry, faults: Faults) -> None:
        self._registry = registry
        self._faults = faults
        flask = getattr(app, "__self__", app)
        self._views: Any = getattr(flask, "view_functions", None) or {}

    def note(self, trace: OpenTrace, environ: Environ) -> None:
        """Write the template to *trace*, if it can be told by now; never raises."""
        try:
            request = environ.get("werkzeug.request")
            if request is not None:
                rule = request.url_rule
                if rule is not None:
                    trace.route, trace.endpoint = rule.rule, rule.endpoint
        except Exception:  # an application may put anything under that key
            return

    def record_of(self, trace: OpenTrace, environ: Environ) -> RouteRecord:
        """Return the record of the route that the request was matched to; never raises."""
        try:
            if trace.route is None:  # it has not answered yet, or raised before it did
                self.note(trace, environ)
            method, template = environ["REQUEST_METHOD"], trace.route or UNMATCHED
            record = self._registry.known.get((method, template))
            if record is None:
                view = self._views.get(trace.endpoint)
                handler = trace.handler or site_of_function(view, "handler")
                record = self._registry.record(method, template, handler)
            return record
        except Exception as error:
            self._faults.count("routes", error)
            return self._registry.record(OTHER, UNMATCHED)

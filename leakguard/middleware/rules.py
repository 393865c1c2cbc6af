"""Which route template a WSGI request was matched to."""

from typing import Any

from ..core.faults import Faults
from ..core.registry import UNMATCHED, Registry, RouteRecord
from ..core.site import site_of_function
from ..core.trace import OpenTrace
from ..types import Environ


class RuleReader:
    """
    Find the route record of a request from the rule that Werkzeug matched.

    Args:
        app: The wrapped application. Where it is Flask's, or a method of it, a route's handler
            is known, too.
        registry: Holds the records.
        faults: Counts errors of this part, `routes`.
    """

    def __init__(self, app: Any, *, registry: Registry, faults: Faults) -> None:
        flask = getattr(app, "__self__", app)
        self._views: Any = getattr(flask, "view_functions", None) or {}
        self._registry = registry
        self._faults = faults

    def record_of(self, trace: OpenTrace, environ: Environ) -> RouteRecord:
        """
        Return the record of the route that the request was matched to; never raises.

        Args:
            trace: Has the rule if the application has answered, or a template from an adapter.
            environ: Has the request that Flask puts there, until it has answered.
        """
        try:
            rule, template, handler = trace.rule, trace.route, trace.handler
            if rule is None:  # it has not answered yet, or raised before it did
                rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
            if template is None:
                template = UNMATCHED if rule is None else rule.rule
            method = environ["REQUEST_METHOD"]
            record = self._registry.known.get((method, template))
            if record is None:
                if handler is None and rule is not None:
                    handler = site_of_function(self._views.get(rule.endpoint), "handler")
                record = self._registry.record(method, template, handler)
            return record
        except Exception as error:  # an application may put anything under that key
            self._faults.count("routes", error)
            return self._registry.nowhere

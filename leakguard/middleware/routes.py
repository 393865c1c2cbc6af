"""Which route template an ASGI request was matched to."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.faults import Faults
from ..core.registry import UNMATCHED, Registry, RouteRecord
from ..core.site import site_of_function
from ..core.trace import OpenTrace
from ..types import Scope

_MAX_DEPTH = 20
_MAX_MISSES = 1000
_PARAMETER = re.compile(r"{[^{}:]+(:[^{}]+)?}")


class RouteTable:
    """
    Find the route record of a request from what its router left in the scope.

    Starlette and FastAPI leave the endpoint; its template, with the prefixes of all mounts and
    included routers, is looked up in a table read once from the application's routes. Litestar
    leaves the template itself; Django and Quart have it noted on the trace by their adapters.

    Args:
        app: The wrapped application, whose routes are read.
        registry: Holds the records.
        faults: Counts errors of this part, `routes`.
    """

    def __init__(self, app: Any, *, registry: Registry, faults: Faults) -> None:
        self._app = app
        self._registry = registry
        self._faults = faults
        self._templates: dict[int, tuple[str, ...]] = {}
        self._misses: set[int] = set()

    def record_of(self, trace: OpenTrace, scope: Scope) -> RouteRecord:
        """
        Return the record of the route that *scope* was matched to; never raises.

        Args:
            trace: May carry a template already, from an adapter.
            scope: As the application left it, or has it so far.
        """
        try:
            method = scope.get("method", "WEBSOCKET")
            templates = self._templates.get(id(scope.get("endpoint")), ())
            if len(templates) == 1 and trace.route is None:
                template = templates[0]
            else:
                template = trace.route or self._template(scope)
            record = self._registry.known.get((method, template))
            if record is None:
                handler = trace.handler or site_of_function(scope.get("endpoint"), "handler")
                record = self._registry.record(method, template, handler)
            return record
        except Exception as error:
            self._faults.count("routes", error)
            return self._registry.nowhere

    def _template(self, scope: Scope) -> str:
        if "routes" in self._faults.off:
            return UNMATCHED
        endpoint = scope.get("endpoint")
        if endpoint is None:
            template = scope.get("path_template")
            return template if isinstance(template, str) else UNMATCHED
        key = id(endpoint)
        templates = self._templates.get(key)
        if templates is None:
            templates = self._looked_up(key, scope)
        if not templates:
            return _own_path(scope)
        return templates[0] if len(templates) == 1 else _matching(templates, _full_path(scope))

    def _looked_up(self, key: int, scope: Scope) -> tuple[str, ...]:
        """Read the application's routes anew for an endpoint that the table does not know."""
        if key in self._misses:
            return ()
        found: dict[int, list[str]] = {}
        routes = _routes_of(self._app) or _routes_of(scope.get("app"))
        for template, endpoint in _leaves(routes, "", 0):
            known = found.setdefault(id(endpoint), [])
            if template not in known:
                known.append(template)
        self._templates = {each: tuple(templates) for each, templates in found.items()}
        if key not in self._templates:
            if len(self._misses) >= _MAX_MISSES:
                self._misses.clear()
            self._misses.add(key)
        return self._templates.get(key, ())


def _routes_of(app: Any) -> Iterable[Any]:
    """Return the routes of *app*, or of the first application inside it that has any."""
    for _ in range(_MAX_DEPTH):
        routes = getattr(app, "routes", None)
        if isinstance(routes, Iterable):
            return routes
        app = getattr(app, "app", None)
    return ()


def _leaves(routes: Iterable[Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the full template and the endpoint of every route below *routes*."""
    if depth > _MAX_DEPTH:
        return
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)
        if included is not None:  # FastAPI from 0.116 on keeps included routers as they are
            for context in included():
                yield from _leaves([context.starlette_route or context], prefix, depth + 1)
            continue
        template = prefix + getattr(route, "path", "")
        inner = getattr(route, "routes", None)
        if inner:
            yield from _leaves(inner, template, depth + 1)
        elif hasattr(route, "endpoint"):
            yield template, route.endpoint
        elif hasattr(route, "app"):
            yield template + "/{path:path}", route.app


def _own_path(scope: Scope) -> str:
    """Return the path of the route object itself, where no mount stands above it."""
    path = getattr(scope.get("route"), "path", None)
    mounted = scope.get("root_path", "") != scope.get("app_root_path", scope.get("root_path", ""))
    return path if isinstance(path, str) and not mounted else UNMATCHED


def _full_path(scope: Scope) -> str:
    """Return the path as it came in, below the root path that the server gave."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    if not path.startswith(root_path):  # Starlette before 0.33 cuts it at each mount
        path = root_path + path
    return path.removeprefix(scope.get("app_root_path", root_path))


def _matching(templates: tuple[str, ...], path: str) -> str:
    """Return the one of an endpoint's *templates* that *path* fits."""
    for template in templates:
        pattern, end = "", 0
        for parameter in _PARAMETER.finditer(template):
            anything = ".*" if parameter[1] == ":path" else "[^/]+"
            pattern += re.escape(template[end : parameter.start()]) + anything
            end = parameter.end()
        if re.fullmatch(pattern + re.escape(template[end:]), path):
            return template
    return templates[0]

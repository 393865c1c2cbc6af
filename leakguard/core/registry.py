"""Totals by route, bounded in number."""

from .fork import give_lock
from .site import Site

OTHER = "<other>"
UNMATCHED = "<unmatched>"
METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "WEBSOCKET")
)


class RouteRecord:
    """Add up what the requests of one route did."""

    __slots__ = (
        "added", "blocks", "blocks_sampled", "exclusive", "handler", "listeners",
        "measured", "method", "objects", "objects_all", "removed", "requests", "retained", "route",
    )  # fmt: skip

    def __init__(self, method: str, route: str, handler: Site | None = None) -> None:
        self.method = method
        self.route = route
        self.handler = handler
        self.requests = 0
        self.measured = 0
        self.objects = 0
        self.objects_all = 0
        self.exclusive = 0
        self.blocks = 0
        self.blocks_sampled = 0
        self.added = 0
        self.removed = 0
        self.retained = 0
        self.listeners = 0


class Registry:
    """
    Keep one record for each method and route template.

    Args:
        max_routes: Records kept apart. What comes later is added to `<other>`, so that a scanner
            that tries paths and methods at random cannot grow it.
    """

    def __init__(self, *, max_routes: int) -> None:
        self._max_routes = max_routes
        self.known: dict[tuple[str, str], RouteRecord] = {}
        """The records by method and template; read it, but add through `record`."""
        self.nowhere = RouteRecord(OTHER, UNMATCHED)
        """The record of requests whose route could not be told because of an error."""
        self._lock = give_lock(self)

    def record(self, method: str, route: str, handler: Site | None = None) -> RouteRecord:
        """Return the record of a route, made where it is new and there is room."""
        if method not in METHODS:
            method = OTHER
        with self._lock:
            record = self.known.get((method, route))
            if record is None:
                if len(self.known) >= self._max_routes:
                    method, route, handler = OTHER, OTHER, None
                record = self.known.setdefault((method, route), RouteRecord(method, route, handler))
        return record

    def records(self) -> list[RouteRecord]:
        """Return the records, in the order in which their routes were first asked for."""
        with self._lock:
            records = list(self.known.values())
        return [*records, self.nowhere] if self.nowhere.requests else records

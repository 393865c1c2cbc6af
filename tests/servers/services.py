"""The services under test: what leaks in each, where it is held, and what does not leak."""

from dataclasses import dataclass, field

from .harness import ASGI_SERVERS, UVICORN, WSGI_SERVERS, ServerKind


@dataclass(frozen=True)
class Leak:
    """What a leaky route is to be reported as. `holder` is below the application's module."""

    kind: str
    holder: str
    route: str
    method: str = "GET"


@dataclass(frozen=True)
class Service:
    """
    An application, and what its routes do.

    `leaks` are by the name of the route, which is the path without its key. `streams` and
    `sockets` are those names among all that are not answered at once.
    """

    name: str
    module: str
    target: str
    needs: tuple[str, ...]
    leaks: dict[str, Leak]
    healthy: tuple[str, ...]
    streams: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    template: str = "/{name}/<key>"
    failing: tuple[str, ...] = ("boom",)
    methods: tuple[str, ...] = field(default=("HEAD", "OPTIONS"))

    @property
    def plain(self) -> tuple[str, ...]:
        """Return the names of the routes that answer at once."""
        names = (*self.leaks, *self.healthy, *self.failing)
        return tuple(each for each in names if each not in self.streams + self.sockets)

    def route(self, name: str) -> tuple[str, str]:
        """Return the method and the template of a route."""
        method = "WEBSOCKET" if name in self.sockets else "GET"
        return method, self.template.format(name=name)


def _leaks(module: str, template: str, more: dict[str, tuple[str, str]]) -> dict[str, Leak]:
    found = {
        "listener": ("listener", "bus"),
        "signal": ("listener", "changed"),
        "kept": ("retained_request", "hub.requests"),
        "closure": ("retained_request", "hub.callbacks"),
        **more,
    }
    return {
        name: Leak(
            kind,
            place if place.startswith("<") else f"{module}.{place}",
            template.format(name=name),
            "WEBSOCKET" if name == "socket" else "GET",
        )
        for name, (kind, place) in found.items()
    }


_MENDED = ("listener-mended", "signal-mended", "kept-mended", "closure-mended")
_BRACES = "/{name}/{{key}}"
_ANGLES = "/{name}/<key>"

FASTAPI = Service(
    "fastapi", "apps_fastapi", "apps_fastapi:app", ("fastapi", "websockets"),
    leaks=_leaks("apps_fastapi", _BRACES, {
        "task": ("retained_request", "never._waiters"),
        "timer": ("retained_request", "<event loop "),
        "deferred": ("retained_request", "hub.done"),
        "threaded": ("listener", "bus"),
        "events": ("retained_request", "hub.streams"),
        "socket": ("listener", "bus"),
    }),
    healthy=("ok", *_MENDED, "task-mended", "timer-mended", "deferred-mended", "threaded-mended",
             "events-mended", "socket-mended"),
    streams=("events", "events-mended"),
    sockets=("socket", "socket-mended"),
    template=_BRACES,
)  # fmt: skip
FLASK = Service(
    "flask", "apps_flask", "apps_flask:app", ("flask",),
    leaks=_leaks("apps_flask", _ANGLES, {"events": ("retained_request", "hub.streams")}),
    healthy=("ok", *_MENDED, "events-mended"),
    streams=("events", "events-mended"),
)  # fmt: skip
_INNER = _leaks("apps_starlette", _BRACES, {"task": ("retained_request", "never._waiters")})
STARLETTE = Service(
    "starlette", "apps_starlette", "apps_starlette:app", ("starlette",),
    leaks={
        **{name: _INNER[name] for name in ("listener", "signal", "task")},
        "inner/kept": Leak("retained_request", "apps_starlette.hub.requests",
                           "/inner/kept/{key}"),
        "inner/closure": Leak("retained_request", "apps_starlette.hub.callbacks",
                              "/inner/closure/{key}"),
    },
    healthy=("ok", "listener-mended", "signal-mended", "task-mended", "inner/kept-mended",
             "inner/closure-mended"),
    template=_BRACES,
)  # fmt: skip
QUART = Service(
    "quart", "apps_quart", "apps_quart:app", ("quart", "websockets"),
    leaks=_leaks("apps_quart", _ANGLES, {"socket": ("listener", "bus")}),
    healthy=("ok", *_MENDED, "socket-mended"),
    sockets=("socket", "socket-mended"),
)  # fmt: skip
DJANGO_ASGI = Service(
    "django", "apps_django", "apps_django_asgi:app", ("django",),
    leaks=_leaks("apps_django", _ANGLES, {}), healthy=("ok", *_MENDED),
)  # fmt: skip
DJANGO_WSGI = Service(
    "django", "apps_django", "apps_django_wsgi:app", ("django",),
    leaks=_leaks("apps_django", _ANGLES, {}), healthy=("ok", *_MENDED),
)  # fmt: skip

SERVED: list[tuple[ServerKind, Service]] = [
    *((kind, FASTAPI) for kind in ASGI_SERVERS.values()),
    (ASGI_SERVERS["uvicorn-h11-asyncio"], STARLETTE),
    (ASGI_SERVERS["hypercorn"], QUART),
    (UVICORN, DJANGO_ASGI),
    *((kind, FLASK) for kind in WSGI_SERVERS.values()),
    (WSGI_SERVERS["gunicorn-gthread"], DJANGO_WSGI),
    (WSGI_SERVERS["waitress"], DJANGO_WSGI),
]

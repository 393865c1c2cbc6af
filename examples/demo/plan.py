"""Which example is served how, and what it is asked for."""

from dataclasses import dataclass

HOST = "127.0.0.1"

Route = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Visit:
    """
    A URL to ask for so many times in a round.

    `how` is `get`, or `stream` for endless events, or `socket` for a WebSocket.
    """

    path: str
    times: int
    how: str = "get"

    @property
    def route(self) -> Route:
        """Return the method and template under which leakguard knows it."""
        return ("WEBSOCKET" if self.how == "socket" else "GET", self.path)


def twins(name: str, times: int, how: str = "get") -> tuple[Visit, Visit]:
    return Visit(f"/{name}/leaky", times, how), Visit(f"/{name}/mended", times, how)


@dataclass(frozen=True, slots=True)
class Example:
    """A service, the command that serves it, and the traffic that it gets."""

    name: str
    command: tuple[str, ...]
    visits: tuple[Visit, ...]

    @property
    def leaky(self) -> list[Route]:
        return [each.route for each in self.visits if each.path.endswith("/leaky")]

    @property
    def mended(self) -> list[Route]:
        return [each.route for each in self.visits if each.path.endswith("/mended")]


EXAMPLES = {
    "fastapi": Example(
        "FastAPI under uvicorn",
        ("uvicorn", "examples.fastapi_app.app:app", "--host", HOST, "--port", "{port}",
         "--log-level", "warning", "--timeout-graceful-shutdown", "2"),
        (
            Visit("/", 80),
            Visit("/orders/{number}", 80),
            *twins("listeners", 30),
            *twins("connections", 20, "stream"),
            *twins("caches", 40),
            *twins("closures", 30),
            *twins("timers", 30),
            *twins("tasks", 30),
            *twins("streams", 30),
            *twins("sockets", 10, "socket"),
        ),
    ),
    "flask": Example(
        "Flask under gunicorn (gthread)",
        # Connections stay open, so that none is closed just as a client uses it again.
        ("gunicorn", "examples.flask_app.app:app", "--bind", HOST + ":{port}", "--workers", "1",
         "--worker-class", "gthread", "--threads", "4", "--keep-alive", "30",
         "--log-level", "warning", "--graceful-timeout", "2"),
        (
            Visit("/", 80),
            Visit("/orders/{number}", 80),
            *twins("listeners", 40),
            *twins("connections", 20, "stream"),
            *twins("caches", 50),
            *twins("closures", 40),
            *twins("timers", 20),  # each of them is a thread
            *twins("streams", 40),
        ),
    ),
}  # fmt: skip

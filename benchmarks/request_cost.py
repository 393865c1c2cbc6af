"""
What the default configuration adds to a request, beside a middleware that does nothing.

All contenders take turns in short rounds of one process, so that noise of the machine meets each
of them; what is printed is the median, over the rounds, of the difference to the no-op of the same
round. Requests are in-process: there is no server and no socket to hide the cost in.
"""

import argparse
import asyncio
import gc
import io
import statistics
import sys
import time
from collections.abc import Callable

from flask import Flask
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from leakguard import LeakGuard, LeakGuardMiddleware, LeakGuardWSGIMiddleware
from leakguard.core.faults import Faults
from leakguard.core.registry import Registry
from leakguard.core.trace import CURRENT, OpenTrace
from leakguard.tracing.colony import Colony
from leakguard.tracing.gauges import AllocationGauge
from leakguard.tracing.steps import drive
from leakguard.tracing.tracer import Tracer

ROUNDS = 60
REQUESTS = 300


class NoopASGI:
    """Do nothing, as an ASGI middleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class NoopWSGI:
    """Do nothing, as a WSGI middleware."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


async def raw_asgi(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def raw_wsgi(_environ, start_response):
    start_response("200 OK", [])
    yield b"ok"


async def greet(_request):
    return PlainTextResponse("ok")


def starlette_app():
    return Starlette(routes=[Route("/greet/{name}", greet)])


def flask_app():
    app = Flask(__name__)
    app.add_url_rule("/greet/<name>", "greet", lambda name: "ok")
    return app.wsgi_app


SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "path": "/greet/you", "raw_path": b"/greet/you", "root_path": "",
    "query_string": b"", "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1),
    "server": ("localhost", 80),
}  # fmt: skip


def environ():
    return {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/greet/you", "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.multithread": True,
        "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message):
    pass


def asgi_round(app):
    async def run():
        begun = time.perf_counter()
        for _ in range(REQUESTS):
            await app(dict(SCOPE), receive, send)
        return (time.perf_counter() - begun) / REQUESTS * 1e6

    return asyncio.run(run())


def wsgi_round(app):
    def start_response(_status, _headers, _exc_info=None):
        return None

    begun = time.perf_counter()
    for _ in range(REQUESTS):
        body = app(environ(), start_response)
        for _chunk in body:
            pass
        if hasattr(body, "close"):
            body.close()
    return (time.perf_counter() - begun) / REQUESTS * 1e6


def contenders():
    """Return, for each application, its round and the contenders by name."""
    guard = LeakGuard(token="benchmark", interval_s=3600.0)
    for name, app in (("raw ASGI", raw_asgi), ("Starlette", starlette_app())):
        wrapped = {"bare": app, "no-op": NoopASGI(app)}
        wrapped["leakguard"] = LeakGuardMiddleware(app, guard=guard)
        wrapped["OpenTelemetry"] = OpenTelemetryMiddleware(app)
        yield name, asgi_round, wrapped
    for name, app in (("raw WSGI", raw_wsgi), ("Flask", flask_app())):
        wrapped = {"bare": app, "no-op": NoopWSGI(app)}
        wrapped["leakguard"] = LeakGuardWSGIMiddleware(app, guard=guard)
        yield name, wsgi_round, wrapped
    guard.close()


def measure(run: Callable, wrapped: dict) -> dict[str, list[float]]:
    """Let the contenders take turns; return microseconds a request by contender and round."""
    taken: dict[str, list[float]] = {name: [] for name in wrapped}
    for app in wrapped.values():
        run(app)  # warm
    for _ in range(ROUNDS):
        for name, app in wrapped.items():
            taken[name].append(run(app))
    return taken


def parts() -> dict[str, float]:
    """Return the microseconds that each part costs by itself, in a loop that does nothing else."""
    gauge = AllocationGauge()
    faults = Faults(max_errors=1, log=lambda *_args, **_keys: None)
    registry = Registry(max_routes=1)
    tracer = Tracer(owner=None, registry=registry, colony=Colony(max_canaries=1000), faults=faults,
                    on_serve=lambda: None, on_rest=lambda: None)  # fmt: skip
    record = registry.record("GET", "/")

    def opened_and_closed(_serial):
        tracer.close(tracer.open({}), record)

    trace = OpenTrace()

    def context(_serial):
        CURRENT.reset(CURRENT.set(trace))

    async def nothing():
        pass

    async def driven():
        await drive(nothing(), trace, gauge)

    async def awaited():
        await nothing()

    def ended(coroutine):
        try:
            coroutine.send(None)
        except StopIteration:
            pass

    timings = {
        "open and close a trace: both canaries, registry": opened_and_closed,
        "context variable, set and reset": context,
        "steps: drive a coroutine of one step": lambda _: ended(driven()),
        "(the same coroutine, awaited)": lambda _: ended(awaited()),
        "(an empty call)": lambda _: None,
    }
    taken = {}
    for name, call in timings.items():
        rounds = []
        for _ in range(20):
            begun = time.perf_counter()
            for serial in range(5000):
                call(serial)
            rounds.append((time.perf_counter() - begun) / 5000 * 1e6)
        taken[name] = statistics.median(rounds)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000, help="objects on the heap")
    args = parser.parse_args()
    heap = [[number] for number in range(args.objects)]
    gc.collect()
    console = Console()
    table = Table(title=f"A request, at {len(heap):,} further objects on the heap (median us)")
    for column in ("application", "contender", "a request", "over the no-op", "ratio to the no-op"):
        table.add_column(
            column, justify="left" if column in ("application", "contender") else "right"
        )
    for name, run, wrapped in contenders():
        taken = measure(run, wrapped)
        for contender, rounds in taken.items():
            pairs = list(zip(rounds, taken["no-op"], strict=True))
            table.add_row(
                name,
                contender,
                f"{statistics.median(rounds):.2f}",
                f"{statistics.median(mine - noop for mine, noop in pairs):+.2f}",
                f"{statistics.median(mine / noop for mine, noop in pairs):.3f}",
            )
    console.print(table)
    table = Table(title="The parts, each by itself (median us)")
    table.add_column("part")
    table.add_column("us", justify="right")
    for name, microseconds in parts().items():
        table.add_row(name, f"{microseconds:.2f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

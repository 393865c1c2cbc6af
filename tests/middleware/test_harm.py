"""What fails inside leakguard harms no request, is counted, said once, and switched off."""

import asyncio
import types

import pytest
import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from leakguard import LeakGuard, LeakGuardMiddleware, LeakGuardWSGIMiddleware

from ..exchanges import ask, ask_wsgi, exchange, http_scope, reply_of, requests, said


def boom(*_, **__):
    raise LookupError("leakguard's own")


async def asgi(scope, receive, send):
    await PlainTextResponse("answer")(scope, receive, send)


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return iter([b"answer"])


@pytest.fixture
def guard():
    """Return a guard that gives a part up after three errors."""
    guard = LeakGuard(monitor=False, max_errors=3)
    yield guard
    guard.close()


@pytest.fixture(params=["asgi", "wsgi"])
def served(request, guard):
    """Return a function that sends one request to a guarded application."""
    if request.param == "asgi":
        app = LeakGuardMiddleware(asgi, guard=guard)
        return lambda: ask(app)
    app = LeakGuardWSGIMiddleware(wsgi, guard=guard)
    return lambda: ask_wsgi(app)


def errors(guard):
    return guard.report().errors


def break_opening(guard, monkeypatch):
    monkeypatch.setattr("leakguard.tracing.tracer.OpenTrace", boom)


def break_closing(guard, monkeypatch):
    guard.tracer.serving = True
    monkeypatch.setattr(guard.tracer, "on_trace", boom)


@pytest.mark.parametrize("fault", [break_opening, break_closing])
def test_failing_tracer_is_counted_said_once_and_switched_off(
    guard, served, caplog, monkeypatch, fault
):
    """
    Requests are answered all the same; after `max_errors` the part is off, and the report says so.
    """
    fault(guard, monkeypatch)

    replies = [served() for _ in range(5)]

    assert {(reply.status, reply.body) for reply in replies} == {(200, b"answer")}
    assert errors(guard)["counts"] == {"tracing": 3}
    assert errors(guard)["switched_off"] == ["tracing"]
    (failed,), (off,) = said(caplog, "part_failed"), said(caplog, "part_switched_off")
    assert (failed["part"], failed["error"]) == ("tracing", "LookupError")
    assert (off["part"], off["errors"], off["error"]) == ("tracing", 3, "LookupError")


def test_failing_start_of_the_guard_harms_no_request(guard, served, monkeypatch):
    """
    A monitor that cannot be started, as where threads are exhausted, costs no request its answer.
    """
    monkeypatch.setattr(guard.tracer.gauge, "start", boom)

    reply = served()

    assert (reply.status, reply.body) == (200, b"answer")
    assert errors(guard)["counts"] == {"tracing": 1}


def test_failing_registry_harms_no_request(guard, served, monkeypatch):
    """
    A route that cannot even be counted under `<unmatched>` is answered.
    """
    monkeypatch.setattr(guard.tracer.registry, "record", boom)

    reply = served()

    assert (reply.status, reply.body) == (200, b"answer")
    assert errors(guard)["counts"].keys() == {"routes"}


class Hostile(Starlette):
    """An application whose table of routes cannot be read."""

    asked = 0

    @property
    def routes(self):
        self.asked += 1
        raise LookupError("own")


def test_failing_route_lookup_is_counted_and_the_request_too(guard):
    """
    Where the route cannot be told, the request is answered and counted under a name for that.
    """
    app = Hostile()
    app.router.routes.append(Route("/", lambda _: PlainTextResponse("answer")))

    reply = ask(LeakGuardMiddleware(app, guard=guard))

    assert (reply.status, reply.body) == (200, b"answer")
    assert errors(guard)["counts"] == {"routes": 1}
    assert requests(guard) == {"<other> <unmatched>": 1}


def test_failing_route_lookup_is_given_up(guard):
    """
    After `max_errors` the routes are not asked for again.
    """
    app = Hostile()
    app.router.routes.append(Route("/", lambda _: PlainTextResponse("answer")))
    wrapped = LeakGuardMiddleware(app, guard=guard)

    for _ in range(10):
        ask(wrapped)

    assert errors(guard)["counts"] == {"routes": 3}
    assert errors(guard)["switched_off"] == ["routes"]
    assert app.asked == 3
    assert sum(requests(guard).values()) == 10


def test_failing_rule_reader_is_counted_and_the_request_too(guard):
    """
    An environ without a method, against PEP 3333, is answered and counted.
    """

    def app(environ, start_response):
        del environ["REQUEST_METHOD"]
        return wsgi(environ, start_response)

    reply = ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard))

    assert reply.body == b"answer"
    assert errors(guard)["counts"] == {"routes": 1}
    assert requests(guard) == {"<other> <unmatched>": 1}


def test_scope_that_cannot_be_written_to_is_served(guard):
    """
    A server whose scope takes no canary is served without one.
    """
    app = LeakGuardMiddleware(asgi, guard=guard)
    scope = types.MappingProxyType(http_scope())

    assert reply_of(asyncio.run(exchange(app, scope))).body == b"answer"
    assert errors(guard)["counts"] == {"tracing": 1}


def test_broken_log_harms_no_request(guard, served, monkeypatch):
    """
    A service whose log raises is served, and the errors of the log are counted.
    """
    monkeypatch.setattr("leakguard.tracing.tracer.OpenTrace", boom)
    structlog.configure(processors=[boom])
    try:
        reply = served()
    finally:
        structlog.reset_defaults()

    assert (reply.status, reply.body) == (200, b"answer")
    # That of the log, beside that of the part that it was to tell of.
    assert errors(guard)["counts"].keys() > {"tracing"}


def test_failing_shutdown_of_the_monitor_is_counted(guard, monkeypatch):
    """
    An error while the monitor ends does not reach the server's lifespan.
    """
    monkeypatch.setattr(guard._monitor, "stop", boom)

    async def lifespan(scope, receive, send):
        return

    asyncio.run(exchange(LeakGuardMiddleware(lifespan, guard=guard), {"type": "lifespan"}))
    monkeypatch.undo()

    assert errors(guard)["counts"] == {"monitor": 1}


def test_application_that_cannot_be_referred_to_weakly_is_wrapped(guard):
    """
    An application made of slots alone is served; it is only no place to start a walk from.
    """

    class Slots:
        __slots__ = ()

        async def __call__(self, scope, receive, send):
            await asgi(scope, receive, send)

    assert ask(LeakGuardMiddleware(Slots(), guard=guard)).body == b"answer"
    assert guard.tracer.applications() == []
    assert errors(guard)["counts"] == {}


def test_applications_are_remembered_up_to_a_bound(guard):
    """
    A service that wraps applications without end, as a test suite may, does not grow the guard.
    """
    apps = [lambda *_: None for _ in range(150)]

    for app in apps:
        LeakGuardMiddleware(app, guard=guard)

    assert len(guard.tracer.applications()) == 100

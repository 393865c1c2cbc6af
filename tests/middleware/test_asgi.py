"""Requests of ASGI applications pass by untouched, and are counted."""

import asyncio
import contextvars
import gc
import logging
import types
import weakref

import anyio
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from leakguard import LeakGuard, LeakGuardMiddleware
from leakguard.core.trace import CURRENT

from ..exchanges import ask, exchange, http_scope, reply_of, requests, rows, said, websocket_scope

OK = [
    {"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b"plain")]},
    {"type": "http.response.body", "body": b"hello"},
]


class Held:
    """Something in a scope that a weak reference can follow."""


async def hello(scope, receive, send):
    for message in OK:
        await send(message)


@pytest.mark.parametrize("debug", [False, True], ids=["quiet", "debug"])
def test_messages_arrive_as_the_very_objects_that_were_sent(guard, caplog, debug):
    """
    What the application sends is what the server gets, and the other way round.
    """
    caplog.set_level(logging.DEBUG if debug else logging.INFO, "leakguard")
    request = {"type": "http.request", "body": b"in", "more_body": False}
    received = []

    async def app(scope, receive, send):
        received.append(await receive())
        await hello(scope, receive, send)

    sent = asyncio.run(exchange(LeakGuardMiddleware(app, guard=guard), http_scope(), [request]))

    assert received[0] is request
    assert all(got is given for got, given in zip(sent, OK, strict=True))


def test_receive_and_send_are_handed_on_as_they_are(guard):
    """
    The application gets the server's own callables and the server's own scope.
    """
    seen = []

    async def app(*given):
        seen.extend(given)

    given = (http_scope(), object(), object())

    asyncio.run(LeakGuardMiddleware(app, guard=guard)(*given))

    assert all(got is each for got, each in zip(seen, given, strict=True))


def test_request_is_counted_by_method(guard):
    """
    Each request adds one to the record of its method and route, HEAD and OPTIONS included.
    """
    app = LeakGuardMiddleware(hello, guard=guard)

    for method in ("GET", "GET", "HEAD", "OPTIONS", "POST"):
        ask(app, "/", method)

    assert requests(guard) == {
        "GET <unmatched>": 2,
        "HEAD <unmatched>": 1,
        "OPTIONS <unmatched>": 1,
        "POST <unmatched>": 1,
    }


def test_head_and_options_are_answered_as_by_the_bare_application(guard):
    """
    The middleware changes neither status nor headers nor body of any method.
    """
    bare = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"), methods=["GET"])])
    wrapped = LeakGuardMiddleware(bare, guard=guard)

    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        assert ask(wrapped, "/", method) == ask(bare, "/", method)


def test_websocket_is_counted_when_it_ends(guard):
    """
    A WebSocket is one request of method WEBSOCKET, in flight for as long as it is open.
    """
    during = []

    async def echo(websocket):
        await websocket.accept()
        during.append(rows(guard)["WEBSOCKET", "/echo/{name}"])
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    app = LeakGuardMiddleware(Starlette(routes=[WebSocketRoute("/echo/{name}", echo)]), guard=guard)
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hi"}]

    sent = asyncio.run(exchange(app, websocket_scope("/echo/a"), incoming))

    kinds = [message["type"] for message in sent]
    assert kinds == ["websocket.accept", "websocket.send", "websocket.close"]
    assert (during[0].requests, during[0].in_flight) == (0, 1)
    after = rows(guard)["WEBSOCKET", "/echo/{name}"]
    assert (after.requests, after.in_flight) == (1, 0)


def test_lifespan_passes_by(guard):
    """
    Start-up and shutdown reach the application, and are not counted as requests.
    """
    seen = []

    async def app(scope, receive, send):
        seen.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        seen.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    sent = asyncio.run(
        exchange(LeakGuardMiddleware(app, guard=guard), {"type": "lifespan"}, incoming)
    )

    assert seen == ["lifespan.startup", "lifespan.shutdown"]
    assert [each["type"] for each in sent] == [
        "lifespan.startup.complete", "lifespan.shutdown.complete",
    ]  # fmt: skip
    assert requests(guard) == {}


def test_failed_start_up_raises_as_without_the_middleware(guard):
    """
    An application that has no lifespan, or fails in it, raises its own exception.
    """
    error = LookupError("no database")

    async def app(scope, receive, send):
        raise error

    with pytest.raises(LookupError) as caught:
        asyncio.run(exchange(LeakGuardMiddleware(app, guard=guard), {"type": "lifespan"}))

    assert caught.value is error


def test_unknown_kind_of_scope_passes_by_and_disturbs_nothing(guard):
    """
    A scope type of the future reaches the application, and does not stop the guard.
    """
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    wrapped = LeakGuardMiddleware(app, guard=guard)
    ask(wrapped)
    assert guard.tracer.serving

    asyncio.run(exchange(wrapped, {"type": "future"}))

    assert seen == ["http", "future"]
    assert requests(guard) == {"GET <unmatched>": 1}
    assert guard.tracer.serving


def test_stream_is_in_flight_until_its_last_chunk(guard):
    """
    A streaming response, such as server-sent events, is one request that ends with the stream.
    """
    in_flight = []

    async def events(request):
        async def numbers():
            for number in range(3):
                in_flight.append(rows(guard)["GET", "/events"].in_flight)
                yield f"data: {number}\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(numbers(), media_type="text/event-stream")

    app = LeakGuardMiddleware(Starlette(routes=[Route("/events", events)]), guard=guard)

    reply = ask(app, "/events")

    assert reply.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert in_flight == [1, 1, 1]
    assert rows(guard)["GET", "/events"].in_flight == 0


def test_client_that_goes_away_ends_the_request(guard):
    """
    A disconnect in mid-stream ends the stream and the trace.
    """
    finished = []

    async def events(request):
        async def forever():
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(0)
            finally:
                finished.append(True)

        return StreamingResponse(forever())

    app = LeakGuardMiddleware(Starlette(routes=[Route("/events", events)]), guard=guard)

    asyncio.run(exchange(app, http_scope("/events"), [{"type": "http.disconnect"}]))

    gc.collect()
    assert finished == [True]
    row = rows(guard)["GET", "/events"]
    assert (row.requests, row.in_flight) == (1, 0)


def test_background_task_belongs_to_its_request(guard):
    """
    A background task runs before the request counts as over.
    """
    requests_during = []

    async def answer(request):
        task = BackgroundTask(lambda: requests_during.append(dict(requests(guard))))
        return PlainTextResponse("done", background=task)

    app = LeakGuardMiddleware(Starlette(routes=[Route("/", answer)]), guard=guard)

    reply = ask(app)

    assert reply.body == b"done"
    assert requests_during == [{"GET /": 0}]
    assert requests(guard) == {"GET /": 1}


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_exception_of_the_application_passes_as_the_same_object(guard, kind):
    """
    What the application raises reaches the server unchanged, and the request is counted.
    """
    error = kind("own")

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        raise error

    async def main():
        with pytest.raises(kind) as caught:
            await exchange(LeakGuardMiddleware(app, guard=guard), http_scope())
        return caught.value

    assert asyncio.run(main()) is error
    assert error.__context__ is None
    assert error.__cause__ is None
    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (1, 0)


def test_failing_route_is_counted_under_its_template(guard):
    """
    A route whose handler raises is known by its template.
    """

    def fail(request):
        raise ValueError("own")

    app = LeakGuardMiddleware(Starlette(routes=[Route("/fail/{id}", fail)]), guard=guard)

    with pytest.raises(ValueError, match="own"):
        ask(app, "/fail/1")

    assert requests(guard) == {"GET /fail/{id}": 1}


def test_cancelled_request_is_over(guard):
    """
    A task that is cancelled during a request leaves nothing in flight.
    """
    app = LeakGuardMiddleware(lambda *_: asyncio.sleep(3600), guard=guard)

    async def main():
        task = asyncio.create_task(exchange(app, http_scope()))
        await asyncio.sleep(0)
        during = rows(guard)["GET", "<unmatched>"].in_flight
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return during

    assert asyncio.run(main()) == 1
    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (1, 0)


def test_request_that_its_loop_forgot_is_over(guard):
    """
    A coroutine that is closed in mid-request, as at a loop's end, runs its cleanup and is counted.
    """
    finished = []

    @types.coroutine
    def never():
        try:
            yield
        finally:
            finished.append(True)

    async def app(scope, receive, send):
        await never()

    call = LeakGuardMiddleware(app, guard=guard)(http_scope(), None, None)
    call.send(None)

    call.close()

    assert finished == [True]
    assert requests(guard) == {"GET <unmatched>": 1}


def test_request_that_ends_in_another_context_is_over(guard):
    """
    A coroutine that is closed in another context than it began in is counted, as disturbed.
    """

    async def app(scope, receive, send):
        await asyncio.sleep(0)

    call = LeakGuardMiddleware(app, guard=guard)(http_scope(), None, None)
    contextvars.Context().run(call.send, None)

    contextvars.Context().run(call.close)

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight, row.exclusive_share) == (1, 0, 0)


def test_application_may_return_any_awaitable(guard):
    """
    An application that is no coroutine function, and returns a future, is awaited and counted.
    """
    answered = []

    def app(scope, receive, send):
        future = asyncio.get_running_loop().create_future()
        future.set_result(answered.append(True))
        return future

    ask(LeakGuardMiddleware(app, guard=guard))

    assert answered == [True]
    assert requests(guard) == {"GET <unmatched>": 1}
    assert rows(guard)["GET", "<unmatched>"].exclusive_share == 0


def test_application_that_raises_before_it_returns_an_awaitable_is_counted(guard):
    """
    A plain callable that raises at once ends its request.
    """

    def app(scope, receive, send):
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        ask(LeakGuardMiddleware(app, guard=guard))

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (1, 0)


def test_context_variable_set_by_the_application_is_seen_after_it(guard):
    """
    The application runs in the context of its caller, as without the middleware.
    """
    name = contextvars.ContextVar("name", default="unset")

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        name.set("set inside")

    async def main():
        await exchange(LeakGuardMiddleware(app, guard=guard), http_scope())
        return name.get()

    assert asyncio.run(main()) == "set inside"


def test_running_code_knows_its_request_until_it_ends(guard):
    """
    The open trace is current inside the request and in its tasks, and not after it.
    """
    seen = []

    async def child():
        seen.append(CURRENT.get())

    async def app(scope, receive, send):
        seen.append(CURRENT.get())
        await asyncio.create_task(child())
        await asyncio.to_thread(lambda: seen.append(CURRENT.get()))

    async def main():
        await exchange(LeakGuardMiddleware(app, guard=guard), http_scope())
        seen.append(CURRENT.get())

    asyncio.run(main())

    assert seen[0] is not None
    assert seen[1] is seen[0]
    assert seen[2] is seen[0]
    assert seen[3] is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_request_runs_on_any_event_loop(guard, backend):
    """
    Task groups, timeouts and threads of anyio work through the middleware, on asyncio and on trio.
    """
    done = []

    async def app(scope, receive, send):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0)
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        done.append(await anyio.to_thread.run_sync(lambda: "from a thread"))
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0):
                await anyio.sleep_forever()

    anyio.run(LeakGuardMiddleware(app, guard=guard), http_scope(), None, None, backend=backend)

    assert done == ["from a thread"]
    assert requests(guard) == {"GET <unmatched>": 1}


def test_cancel_scope_around_the_middleware_ends_the_request(guard):
    """
    A server that cancels a request from outside reaches the application.
    """
    finished = []

    async def app(scope, receive, send):
        try:
            await anyio.sleep_forever()
        finally:
            finished.append(True)

    async def main():
        with anyio.move_on_after(0):
            await LeakGuardMiddleware(app, guard=guard)(http_scope(), None, None)

    anyio.run(main)

    assert finished == [True]
    assert rows(guard)["GET", "<unmatched>"].in_flight == 0


def test_requests_in_flight_are_told_apart_by_route(guard):
    """
    The report says how many requests are under way on each route.
    """
    release = []

    async def wait(request):
        await release[0].wait()
        return PlainTextResponse("done")

    app = LeakGuardMiddleware(
        Starlette(routes=[Route("/a/{id}", wait), Route("/b", wait)]), guard=guard
    )

    async def main():
        release.append(asyncio.Event())
        paths = ("/a/1", "/a/2", "/a/3", "/b")
        tasks = [asyncio.create_task(exchange(app, http_scope(path))) for path in paths]
        await asyncio.sleep(0)
        during = {row.route: row.in_flight for row in guard.report().routes}
        release[0].set()
        await asyncio.gather(*tasks)
        return during

    assert asyncio.run(main()) == {"/a/{id}": 3, "/b": 1}
    assert {row.route: row.in_flight for row in guard.report().routes} == {"/a/{id}": 0, "/b": 0}


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "around"])
def test_base_http_middleware_and_guard_get_along(guard, inside):
    """
    Starlette's own kind of middleware may stand on either side.
    """

    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers["x-seen"] = "yes"
        return response

    between = Middleware(BaseHTTPMiddleware, dispatch=dispatch)
    traced = Middleware(LeakGuardMiddleware, guard=guard)
    app = Starlette(
        routes=[Route("/items/{id}", lambda _: PlainTextResponse("item"))],
        middleware=[traced, between] if inside else [between, traced],
    )

    reply = ask(app, "/items/1")

    assert (reply.body, reply.header("x-seen")) == (b"item", "yes")
    assert requests(guard) == {"GET /items/{id}": 1}


def test_two_guards_each_count_every_request():
    """
    Two guards around one application both see all of it, and keep their own counts.
    """
    inner, outer = LeakGuard(monitor=False), LeakGuard(monitor=False)
    app = LeakGuardMiddleware(LeakGuardMiddleware(hello, guard=inner), guard=outer)

    replies = [ask(app) for _ in range(3)]

    assert {reply.body for reply in replies} == {b"hello"}
    assert requests(inner) == requests(outer) == {"GET <unmatched>": 3}


def test_guard_around_itself_counts_once(guard):
    """
    The same guard twice around one application, or around a part of it, counts a request once.
    """
    app = LeakGuardMiddleware(LeakGuardMiddleware(hello, guard=guard), guard=guard)

    ask(app)

    assert requests(guard) == {"GET <unmatched>": 1}


def test_disabled_guard_only_passes_calls_on():
    """
    With `enabled=False` requests are answered, and nothing is counted.
    """
    guard = LeakGuard(enabled=False)
    seen = []

    async def app(scope, receive, send):
        seen.append(set(scope))
        await hello(scope, receive, send)

    reply = ask(LeakGuardMiddleware(app, guard=guard))

    assert reply.body == b"hello"
    assert seen == [set(http_scope())]
    assert requests(guard) == {}


def test_debug_log_says_one_line_for_each_request(guard, caplog):
    """
    At level debug `request_traced` tells what a request did, under its route.
    """
    caplog.set_level(logging.DEBUG, "leakguard")
    app = LeakGuardMiddleware(
        Starlette(routes=[Route("/items/{id}", lambda _: PlainTextResponse("x", 201))]), guard=guard
    )

    ask(app, "/items/1")

    (line,) = said(caplog, "request_traced")
    assert set(line) == {
        "route", "method", "status", "duration_s", "objects", "blocks", "listeners_added",
        "listeners_removed", "retained_so_far", "exclusive", "in_flight",
    }  # fmt: skip
    assert (line["route"], line["method"], line["status"]) == ("/items/{id}", "GET", 201)
    assert line["duration_s"] > 0
    assert line["in_flight"] == 0


def test_objects_of_concurrent_requests_are_told_apart(guard):
    """
    Of two routes that run step by step in turns, each is charged for its own objects only.
    """
    kept = [None] * 200

    class Thing:
        pass

    async def greedy(request):
        for place in range(100):
            kept[place] = Thing()
            if place % 10 == 0:
                await asyncio.sleep(0)
        return PlainTextResponse("x")

    async def modest(request):
        for _ in range(10):
            await asyncio.sleep(0)
        return PlainTextResponse("x")

    app = LeakGuardMiddleware(
        Starlette(routes=[Route("/greedy", greedy), Route("/modest", modest)]), guard=guard
    )

    async def main():
        await asyncio.gather(*(exchange(app, http_scope(path)) for path in ("/greedy", "/modest")))

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()

    after = rows(guard)
    # A request of Starlette's leaves a few objects of its own in its scope.
    assert 100 <= after["GET", "/greedy"].objects_per_request <= 120
    assert after["GET", "/modest"].objects_per_request <= 20


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("how", ["success", "exception", "cancellation", "debug"])
def test_request_dies_as_soon_as_it_is_over(guard, how, caplog):
    """
    Nothing of leakguard's keeps a request or its context, not even until the next collection.
    """
    if how == "debug":
        caplog.set_level(logging.DEBUG, "leakguard")
    in_context = contextvars.ContextVar("in_context")

    async def app(scope, receive, send):
        in_context.set(Held())
        dying.append(weakref.ref(in_context.get()))
        await asyncio.sleep(0)
        if how == "exception":
            raise ValueError("own")
        if how == "cancellation":
            await asyncio.sleep(3600)

    async def main():
        wrapped = LeakGuardMiddleware(app, guard=guard)
        held = Held()
        dying.append(weakref.ref(held))
        task = asyncio.create_task(wrapped(http_scope(held=held), None, None))
        del held
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if how == "cancellation":
            task.cancel()
        await asyncio.wait([task])
        failed = not task.cancelled() and task.exception() is not None
        del task
        await asyncio.sleep(0)
        return failed, [each() for each in dying]

    dying = []

    failed, left = asyncio.run(main())

    assert failed == (how == "exception")
    assert left == [None, None]


@pytest.mark.usefixtures("no_gc")
def test_kept_context_keeps_no_request(guard):
    """
    A timer or a pool that keeps the context of a request does not keep its scope through leakguard.
    """
    contexts = []

    async def app(scope, receive, send):
        contexts.append(contextvars.copy_context())

    held = Held()
    dying = weakref.ref(held)

    asyncio.run(LeakGuardMiddleware(app, guard=guard)(http_scope(held=held), None, None))
    del held

    assert len(contexts) == 1
    assert dying() is None


def test_reply_helper_reads_what_was_sent():
    """
    The messages of one answer make one reply.
    """
    assert reply_of(OK).body == b"hello"
    assert reply_of(OK).header("X-Kind") == "plain"
    assert reply_of(OK).header("X-Other") is None

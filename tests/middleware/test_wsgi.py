"""Requests of WSGI applications pass by untouched, and end when their iterable is closed."""

import contextvars
import gc
import logging
import subprocess
import sys
import threading
import weakref
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from leakguard import LeakGuard, LeakGuardWSGIMiddleware
from leakguard.core.trace import CURRENT

from ..exchanges import ask_wsgi, environ_of, requests, rows, said

HEADERS = [("Content-Type", "text/plain")]


class Held:
    """Something in an environ that a weak reference can follow."""


class Body:
    """An iterable that counts how often it was closed."""

    def __init__(self, *chunks, error=None):
        self.chunks = chunks
        self.error = error
        self.closed = 0

    def __iter__(self):
        yield from self.chunks
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed += 1


class SizedBody(Body):
    def __len__(self):
        return len(self.chunks)


def ignore(status, headers, exc_info=None):
    """Stand for a server's `start_response`."""


def answering(body):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return body

    return app


@pytest.mark.parametrize("body", [[b"a", b"b"], (b"a", b"b"), []], ids=["list", "tuple", "empty"])
def test_list_or_tuple_is_returned_as_it_is(guard, body):
    """
    What is computed already goes to the server as the same object, and the request is over.
    """
    got = LeakGuardWSGIMiddleware(answering(body), guard=guard)(environ_of(), ignore)

    assert got is body
    assert requests(guard) == {"GET <unmatched>": 1}


def test_file_wrapper_is_returned_as_it_is(guard, tmp_path):
    """
    A server that sends files from the kernel recognises its own wrapper.
    """
    (tmp_path / "file").write_bytes(b"content")
    with open(tmp_path / "file", "rb") as file:
        body = FileWrapper(file)
        app = LeakGuardWSGIMiddleware(answering(body), guard=guard)

        got = app(environ_of(**{"wsgi.file_wrapper": FileWrapper}), ignore)

        assert got is body
    assert requests(guard) == {"GET <unmatched>": 1}


def test_body_without_close_ends_its_request_too(guard):
    """
    An iterable that has no `close` of its own gets one from the middleware.
    """
    app = LeakGuardWSGIMiddleware(answering(iter([b"a", b"b"])), guard=guard)

    reply = ask_wsgi(app)

    assert (reply.status, reply.headers, reply.body) == (200, HEADERS, b"ab")
    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (1, 0)


def test_generator_application_begins_when_it_is_read(guard):
    """
    An application that is a generator runs at the server's pace, and is over when closed.
    """
    steps = []

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        steps.append("begun")
        yield b"a"
        steps.append("between")
        yield b"b"

    body = LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), ignore)
    before = list(steps)
    first = next(iter(body))

    assert (before, first, steps) == ([], b"a", ["begun"])
    assert rows(guard)["GET", "<unmatched>"].in_flight == 1
    assert list(body) == [b"b"]
    body.close()
    assert (requests(guard), rows(guard)["GET", "<unmatched>"].in_flight) == (
        {"GET <unmatched>": 1}, 0,
    )  # fmt: skip


@pytest.mark.parametrize("read", [0, 1, 3], ids=["never read", "read in part", "read to the end"])
@pytest.mark.parametrize("kind", [Body, SizedBody])
def test_body_is_closed_exactly_once(guard, read, kind):
    """
    The application's `close` is called once, however much was read and however often it is asked.
    """
    body = kind(b"a", b"b", b"c")
    got = LeakGuardWSGIMiddleware(answering(body), guard=guard)(environ_of(), ignore)

    chunks = iter(got)
    for _ in range(read):
        next(chunks)
    got.close()
    got.close()

    assert body.closed == 1
    assert requests(guard) == {"GET <unmatched>": 1}


def test_sized_body_keeps_its_length(guard):
    """
    Servers compute `Content-Length` from the length of a body of one chunk.
    """
    app = LeakGuardWSGIMiddleware(answering(SizedBody(b"only")), guard=guard)

    got = app(environ_of(), ignore)

    assert len(got) == 1
    assert list(got) == [b"only"]
    got.close()
    unsized = LeakGuardWSGIMiddleware(answering(Body(b"only")), guard=guard)(environ_of(), ignore)
    assert not hasattr(unsized, "__len__")
    unsized.close()


def test_body_is_closed_by_a_server_that_fails_to_iterate_it(guard):
    """
    An iterable whose `__iter__` raises does so in the server, which then closes it.
    """

    class Broken(Body):
        def __iter__(self):
            raise ValueError("own")

    body = Broken()

    with pytest.raises(ValueError, match="own"):
        ask_wsgi(LeakGuardWSGIMiddleware(answering(body), guard=guard))

    assert body.closed == 1
    assert requests(guard) == {"GET <unmatched>": 1}


@pytest.mark.parametrize("started", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_exception_of_the_application_passes_as_the_same_object(guard, started, kind):
    """
    What the application raises, before or after `start_response`, reaches the server unchanged.
    """
    error = kind("own")

    def app(environ, start_response):
        if started:
            start_response("200 OK", HEADERS)
        raise error

    with pytest.raises(kind) as caught:
        ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard))

    assert caught.value is error
    assert error.__context__ is None
    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (1, 0)


def test_exception_of_the_body_passes_and_the_body_is_closed(guard):
    """
    A body that fails in the middle raises its own exception, and is closed.
    """
    body = Body(b"a", error=ValueError("own"))

    with pytest.raises(ValueError, match="own") as caught:
        ask_wsgi(LeakGuardWSGIMiddleware(answering(body), guard=guard))

    assert caught.value is body.error
    assert body.closed == 1
    assert requests(guard) == {"GET <unmatched>": 1}


def test_exception_of_close_passes_and_the_request_is_over(guard):
    """
    A body whose `close` raises does not keep its request open.
    """

    class Failing(Body):
        def close(self):
            raise ValueError("own")

    got = LeakGuardWSGIMiddleware(answering(Failing(b"a")), guard=guard)(environ_of(), ignore)

    with pytest.raises(ValueError, match="own"):
        got.close()

    assert rows(guard)["GET", "<unmatched>"].in_flight == 0


def test_start_response_is_handed_on_with_all_it_was_given(guard):
    """
    Status, headers and `exc_info` arrive as the same objects, and `write` comes back.
    """
    given, written = [], []
    status, headers = "500 Oh", [("X-A", "b")]

    def app(environ, start_response):
        try:
            raise ValueError("own")
        except ValueError:
            info = sys.exc_info()
            write = start_response(status, headers, info)
            given.append(info)
        write(b"written ")
        return [b"returned"]

    def start_response(*args):
        given.append(args)
        return written.append

    LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), start_response)

    assert given[0][0] is status
    assert given[0][1] is headers
    assert given[0][2] is given[1]
    assert written == [b"written "]
    given.clear()


def test_start_response_that_raises_does_so_in_the_application(guard):
    """
    A server that refuses a second `start_response` raises in the application, as PEP 3333 says.
    """

    def app(environ, start_response):
        try:
            start_response("200 OK", HEADERS)
        except AssertionError:
            return [b"refused"]

    def refuse(status, headers, exc_info=None):
        raise AssertionError("again")

    got = LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), refuse)

    assert got == [b"refused"]


def test_start_response_after_the_end_still_reaches_the_server(guard):
    """
    An application that begins its answer after the request is over is not stopped by leakguard.
    """
    kept, seen = [], []

    def app(environ, start_response):
        kept.append(start_response)
        return []

    LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), lambda *given: seen.append(given[0]))

    kept[0]("200 OK", HEADERS)

    assert seen == ["200 OK"]


def test_request_of_a_server_that_never_closes_ends_when_it_is_dropped(guard):
    """
    A server that drops the body without closing it, against PEP 3333, ends the request.
    """
    body = LeakGuardWSGIMiddleware(answering(Body(b"a")), guard=guard)(environ_of(), ignore)
    assert rows(guard)["GET", "<unmatched>"].in_flight == 1

    del body

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (1, 0)


@pytest.mark.usefixtures("no_gc")
def test_generator_that_a_server_drops_ends_at_once(guard):
    """
    A half-read generator that is dropped runs its cleanup at once, as without the middleware.
    """
    finished = []

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        try:
            yield b"a"
        finally:
            finished.append(True)

    body = LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), ignore)
    next(iter(body))

    del body

    assert finished == [True]


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("how", ["list", "stream", "generator", "exception", "debug"])
def test_request_dies_as_soon_as_it_is_over(guard, how, caplog):
    """
    Nothing of leakguard's keeps an environ, not even until the next collection.
    """
    if how == "debug":
        caplog.set_level(logging.DEBUG, "leakguard")

    def generator(environ, start_response):
        start_response("200 OK", HEADERS)
        yield environ["wsgi.url_scheme"].encode()

    def app(environ, start_response):
        if how == "exception":
            raise ValueError("own")
        if how == "generator":
            return generator(environ, start_response)
        start_response("200 OK", HEADERS)
        return Body(b"a") if how == "stream" else [b"a"]

    held = Held()
    dying = weakref.ref(held)
    app = LeakGuardWSGIMiddleware(app, guard=guard)

    try:
        reply = ask_wsgi(app, held=held)
    except ValueError:
        reply = None
    del held

    assert (reply is None) == (how == "exception")
    assert dying() is None


@pytest.mark.usefixtures("no_gc")
def test_closed_body_that_a_server_keeps_keeps_no_request(guard):
    """
    A server that holds on to a closed body does not hold the environ through it.
    """
    held = Held()
    dying = weakref.ref(held)
    app = LeakGuardWSGIMiddleware(answering(Body(b"a")), guard=guard)

    kept = app(environ_of(held=held), ignore)
    kept.close()
    del held

    assert dying() is None


@pytest.mark.usefixtures("no_gc")
def test_environ_that_holds_start_response_dies_with_its_request(guard):
    """
    Middleware that puts `start_response` into the environ makes no cycle through leakguard.
    """

    def app(environ, start_response):
        environ["app.start_response"] = start_response
        start_response("200 OK", HEADERS)
        return [b"a"]

    held = Held()
    dying = weakref.ref(held)

    ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard), held=held)
    del held

    assert dying() is None


def test_running_code_knows_its_request_until_it_is_closed(guard):
    """
    The open trace is current from the call to the close, and not after it.
    """
    seen = []

    def app(environ, start_response):
        seen.append(CURRENT.get())
        start_response("200 OK", HEADERS)
        yield b"a"

    body = LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), ignore)
    list(body)
    body.close()

    assert seen[0] is not None
    assert CURRENT.get() is None


def test_requests_that_end_out_of_order_leave_none_current(guard):
    """
    Where one thread serves two requests by turns, neither stays current after both are over.
    """
    app = LeakGuardWSGIMiddleware(answering(Body(b"a")), guard=guard)
    first, second = app(environ_of(), ignore), app(environ_of(), ignore)

    first.close()
    second.close()

    assert CURRENT.get() is None
    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.exclusive_share) == (2, 0)


def test_request_closed_in_another_thread_leaves_none_current(guard):
    """
    A server that closes a body in another thread leaves no old request current for the next one.
    """
    app = LeakGuardWSGIMiddleware(answering(Body(b"a")), guard=guard)
    body = app(environ_of(), ignore)

    thread = threading.Thread(target=body.close)
    thread.start()
    thread.join()
    ask_wsgi(app)

    assert requests(guard) == {"GET <unmatched>": 2}
    assert CURRENT.get() is None


def test_request_closed_in_a_copy_of_its_context_is_disturbed(guard):
    """
    A server that closes a body in a copied context ends the request, which is no longer exact.
    """
    app = LeakGuardWSGIMiddleware(answering(Body(b"a")), guard=guard)
    context = contextvars.copy_context()
    body = context.run(app, environ_of(), ignore)

    context.copy().run(body.close)

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight, row.exclusive_share) == (1, 0, 0)


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
def test_validator_finds_nothing(guard, outside):
    """
    `wsgiref.validate` accepts the middleware as a server to the application, and the reverse.
    """

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return iter([b"a", b"b"])

    guarded = LeakGuardWSGIMiddleware(validator(app), guard=guard)

    reply = ask_wsgi(validator(guarded) if outside else guarded)

    assert reply.body == b"ab"


def test_validator_accepts_lists_and_head(guard):
    """
    `wsgiref.validate` on both sides accepts what is handed on as it is, too.
    """
    app = validator(LeakGuardWSGIMiddleware(answering([]), guard=guard))

    reply = ask_wsgi(app, method="HEAD")

    assert reply.status == 200


def test_objects_of_a_request_that_runs_alone_are_counted(guard):
    """
    A request that nothing overlaps is charged for what it keeps, and marked as exclusive.
    """
    kept = [None] * 100

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        for place in range(100):
            kept[place] = Held()
        return [b"a"]

    gc.collect()
    gc.disable()
    try:
        ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard))
    finally:
        gc.enable()

    row = rows(guard)["GET", "<unmatched>"]
    assert 100 <= row.objects_per_request < 110
    assert row.exclusive_share == 1


def test_overlapping_requests_are_not_measured(guard):
    """
    Of two requests that overlap, neither is charged, as their objects cannot be told apart.
    """
    app = LeakGuardWSGIMiddleware(answering(Body(b"a")), guard=guard)

    first, second = app(environ_of(), ignore), app(environ_of(), ignore)
    second.close()
    first.close()

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.exclusive_share, row.objects_per_request) == (0, None)
    assert row.how["objects_per_request"] == "not known"


def test_threads_lose_no_request(guard):
    """
    Eight threads at once are counted to the last request, and none stays in flight.
    """
    together = threading.Barrier(8)

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return iter([b"a"])

    wrapped = LeakGuardWSGIMiddleware(app, guard=guard)

    def serve():
        together.wait()
        for _ in range(500):
            ask_wsgi(wrapped)

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.in_flight) == (4000, 0)


def test_requests_of_eight_threads_that_overlap_are_not_exclusive(guard):
    """
    Requests that are all under way at one moment are all marked as disturbed.
    """
    together = threading.Barrier(8)

    def app(environ, start_response):
        together.wait()
        start_response("200 OK", HEADERS)
        together.wait()
        return [b"a"]

    wrapped = LeakGuardWSGIMiddleware(app, guard=guard)
    threads = [threading.Thread(target=ask_wsgi, args=(wrapped,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row = rows(guard)["GET", "<unmatched>"]
    assert (row.requests, row.exclusive_share) == (8, 0)


def test_two_guards_each_count_every_request():
    """
    Two guards around one application both see all of it; one guard twice counts once.
    """
    inner, outer = LeakGuard(monitor=False), LeakGuard(monitor=False)
    app = LeakGuardWSGIMiddleware(answering([b"a"]), guard=inner)
    app = LeakGuardWSGIMiddleware(LeakGuardWSGIMiddleware(app, guard=inner), guard=outer)

    ask_wsgi(app)

    assert requests(inner) == requests(outer) == {"GET <unmatched>": 1}


def test_disabled_guard_only_passes_calls_on():
    """
    With `enabled=False` the application gets the server's own `start_response`.
    """
    guard = LeakGuard(enabled=False)
    seen = []

    def app(environ, start_response):
        seen.append(start_response)
        return []

    LeakGuardWSGIMiddleware(app, guard=guard)(environ_of(), ignore)

    assert seen == [ignore]
    assert requests(guard) == {}


def test_debug_log_says_one_line_for_each_request(guard, caplog):
    """
    At level debug `request_traced` tells the status as a number.
    """
    caplog.set_level(logging.DEBUG, "leakguard")

    def app(environ, start_response):
        start_response("404 Not Found", HEADERS)
        return [b"a"]

    ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard))

    (line,) = said(caplog, "request_traced")
    assert (line["route"], line["method"], line["status"]) == ("<unmatched>", "GET", 404)


def test_trace_of_a_request_without_an_answer_has_no_status(guard, caplog):
    """
    An application that raises before it answers has status 0 in its line.
    """
    caplog.set_level(logging.DEBUG, "leakguard")

    def app(environ, start_response):
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard))

    assert [line["status"] for line in said(caplog, "request_traced")] == [0]


def test_blocks_are_sampled_from_the_first_request_on():
    """
    A fresh guard's first request is sampled, and its memory blocks are reported.
    """
    code = (
        "from leakguard import *\n"
        "kept = []\n"
        "def app(environ, start_response):\n"
        "    kept.append([object() for _ in range(1000)])\n"
        "    start_response('200 OK', [])\n"
        "    return []\n"
        "guard = LeakGuard(monitor=False)\n"
        "LeakGuardWSGIMiddleware(app, guard=guard)({'REQUEST_METHOD': 'GET'}, lambda s, h: None)\n"
        "print(guard.report().routes[0].blocks_per_request)"
    )

    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert 1000 <= float(seen.stdout) < 1100

"""An ASGI application that never waits is served to WSGI."""

import asyncio

import pytest

from leakguard.endpoints.wsgi import answer_wsgi

from ..exchanges import ask_wsgi, environ_of


def served(app):
    return lambda environ, start_response: answer_wsgi(app, environ, start_response)


def test_application_may_read_an_empty_request():
    """
    A receive gives the end of an empty body.
    """
    got = []

    async def app(scope, receive, send):
        got.append(await receive())
        await send({"type": "http.response.start", "status": 204, "headers": [(b"x-a", b"b")]})
        await send({"type": "http.response.body"})

    reply = ask_wsgi(served(app))

    assert got == [{"type": "http.request", "body": b"", "more_body": False}]
    assert (reply.status, reply.headers, reply.body) == (204, [("x-a", "b")], b"")


def test_application_that_waits_is_an_error():
    """
    There is no event loop to wait in, and the error says so.
    """
    closed = []

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="the debug application waited for something"):
        answer_wsgi(app, environ_of(), lambda status, headers, exc_info=None: None)

    assert closed == [True]


@pytest.mark.parametrize("missing", ["REMOTE_ADDR", "QUERY_STRING", "SERVER_PORT", "SERVER_NAME"])
def test_environ_may_lack_what_is_optional(missing):
    """
    A server that leaves a variable out is served.
    """
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    environ = environ_of(REMOTE_PORT="")
    del environ[missing]

    answer_wsgi(app, environ, lambda status, headers, exc_info=None: None)

    assert (scopes[0]["client"] is None) == (missing == "REMOTE_ADDR")

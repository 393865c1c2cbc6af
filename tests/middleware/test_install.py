"""`LeakGuard.install` finds the place for the middleware, or says why there is none."""

import functools

import flask
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from leakguard import InstallError, LeakGuard, LeakGuardMiddleware, LeakGuardWSGIMiddleware

from ..exchanges import ask, ask_wsgi, requests


async def asgi(scope, receive, send):
    await PlainTextResponse("asgi")(scope, receive, send)


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]


class AsgiObject:
    async def __call__(self, scope, receive, send):
        await asgi(scope, receive, send)


class AsgiMethod:
    async def serve(self, scope, receive, send):
        await asgi(scope, receive, send)


class PlainAsgiObject:
    def __call__(self, scope, receive, send, extra=None):
        return asgi(scope, receive, send)


class WsgiObject:
    def __call__(self, environ, start_response):
        return wsgi(environ, start_response)


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_starlette_application_is_returned_itself(guard, kind):
    """
    Starlette and FastAPI get a middleware; installing twice counts each request once.
    """
    app = kind(routes=[Route("/items/{id}", lambda _: PlainTextResponse("item"))])

    assert guard.install(app) is app
    assert guard.install(app) is app
    assert ask(app, "/items/7").body == b"item"
    assert requests(guard) == {"GET /items/{id}": 1}


def test_flask_application_is_returned_itself(guard):
    """
    Flask's `wsgi_app` is wrapped, once however often it is asked for.
    """
    app = flask.Flask(__name__)
    app.add_url_rule("/items/<id>", view_func=lambda id: id, endpoint="item")  # noqa: A006

    assert guard.install(app) is app
    assert guard.install(app) is app
    assert ask_wsgi(app, "/items/7").body == b"7"
    assert requests(guard) == {"GET /items/<id>": 1}


def test_quart_application_is_returned_itself(guard):
    """
    Quart's `asgi_app` is wrapped, once however often it is asked for.
    """
    app = pytest.importorskip("quart").Quart(__name__)
    app.add_url_rule("/items/<id>", view_func=lambda id: id, endpoint="item")  # noqa: A006

    assert guard.install(app) is app
    assert guard.install(app) is app
    assert ask(app, "/items/7").body == b"7"
    assert requests(guard) == {"GET /items/<id>": 1}


@pytest.mark.parametrize(
    "app",
    [asgi, AsgiObject(), AsgiMethod().serve, PlainAsgiObject(), functools.partial(asgi)],
    ids=["function", "object", "method", "plain object", "partial"],
)
def test_asgi_callable_is_returned_wrapped(guard, app):
    """
    Any callable of three parameters, or any coroutine function, is taken for ASGI.
    """
    wrapped = guard.install(app)

    assert wrapped is not app
    assert guard.install(wrapped) is wrapped
    assert ask(wrapped).body == b"asgi"
    assert requests(guard) == {"GET <unmatched>": 1}


@pytest.mark.parametrize(
    "app",
    [wsgi, WsgiObject(), WsgiObject().__call__, functools.partial(wsgi)],
    ids=["function", "object", "method", "partial"],
)
def test_wsgi_callable_is_returned_wrapped(guard, app):
    """
    Any callable of two parameters is taken for WSGI.
    """
    wrapped = guard.install(app)

    assert wrapped is not app
    assert guard.install(wrapped) is wrapped
    assert ask_wsgi(wrapped).body == b"wsgi"
    assert requests(guard) == {"GET <unmatched>": 1}


def test_middleware_by_hand_counts_as_installed(guard):
    """
    What `LeakGuardMiddleware` or `LeakGuardWSGIMiddleware` wraps already is not wrapped again.
    """
    by_hand = (LeakGuardMiddleware(asgi, guard=guard), LeakGuardWSGIMiddleware(wsgi, guard=guard))

    assert tuple(map(guard.install, by_hand)) == by_hand


def test_another_guard_wraps_what_one_guard_has_wrapped(guard):
    """
    Each guard installs itself, whatever others have done.
    """
    other = LeakGuard(monitor=False)
    app = FastAPI(routes=[Route("/", lambda _: PlainTextResponse("x"))])

    ask(other.install(guard.install(app)))

    assert requests(guard) == requests(other) == {"GET /": 1}


def test_guard_on_a_whole_and_its_mounted_part_counts_once(guard):
    """
    A sub-application with the same guard does not count a request again.
    """
    sub = guard.install(Starlette(routes=[Route("/items/{id}", lambda _: PlainTextResponse("x"))]))
    app = guard.install(Starlette(routes=[Mount("/sub", sub)]))

    assert ask(app, "/sub/items/1").body == b"x"
    assert requests(guard) == {"GET /sub/items/{id}": 1}


def test_application_that_serves_already_is_refused(guard):
    """
    Starlette takes no middleware after its first request, and the error says so.
    """
    app = Starlette()
    ask(app)

    with pytest.raises(InstallError, match=r"^install must come before the first request: "):
        guard.install(app)


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (
            "app",
            r"^install needs an ASGI or WSGI application, got str, which cannot be called$",
        ),
        (
            lambda: None,
            r"^install needs an ASGI application, called with \(scope, receive, send\), or a WSGI "
            r"one, called with \(environ, start_response\); got function with 0 parameters",
        ),
        (dict, r"got type with 0 parameters"),
    ],
    ids=["no callable", "no parameters", "no signature"],
)
def test_what_is_no_application_is_refused(guard, app, message):
    """
    The error says what is allowed and what was given.
    """
    with pytest.raises(InstallError, match=message):
        guard.install(app)


def test_settings_beside_a_guard_are_refused(guard):
    """
    The middleware takes a guard, or the settings of one, not both.
    """
    for kind in (LeakGuardMiddleware, LeakGuardWSGIMiddleware):
        with pytest.raises(TypeError, match=r"got a guard and max_routes, token$"):
            kind(asgi, guard=guard, token="x", max_routes=3)

"""The middleware classes stand alone, with a guard of their own or a given one."""

import json

import flask
import pytest
from fastapi import FastAPI

from leakguard import LeakGuard, LeakGuardMiddleware, LeakGuardWSGIMiddleware

from .exchanges import ask, ask_wsgi, requests


def test_asgi_middleware_alone_serves_the_debug_urls():
    """
    `app.add_middleware(LeakGuardMiddleware, token=…)` is all that an ASGI service needs.
    """
    app = FastAPI()
    app.add_api_route("/items/{id}", lambda id: id)  # noqa: A006
    app.add_middleware(LeakGuardMiddleware, token="t", monitor=False)

    item = ask(app, "/items/7")
    memory = ask(app, "/debug/memory", headers=[(b"authorization", b"Bearer t")])

    assert item.body == b'"7"'
    assert json.loads(memory.body)["routes"][0]["route"] == "/items/{id}"


def test_wsgi_middleware_alone_serves_the_debug_urls():
    """
    `app.wsgi_app = LeakGuardWSGIMiddleware(app.wsgi_app, token=…)` is all that Flask needs.
    """
    app = flask.Flask(__name__)
    app.add_url_rule("/items/<id>", view_func=lambda id: id, endpoint="item")  # noqa: A006
    app.wsgi_app = LeakGuardWSGIMiddleware(app.wsgi_app, token="t", monitor=False)

    item = ask_wsgi(app, "/items/7")
    memory = ask_wsgi(app, "/debug/memory", HTTP_AUTHORIZATION="Bearer t")

    assert item.body == b"7"
    assert json.loads(memory.body)["routes"][0]["route"] == "/items/<id>"


@pytest.mark.parametrize("kind", [LeakGuardMiddleware, LeakGuardWSGIMiddleware])
def test_guard_is_given_or_made(kind):
    """
    The middleware's guard is the given one, else one of its own with the settings.
    """
    guard = LeakGuard(monitor=False)

    given, made = kind(print, guard=guard), kind(print, monitor=False, max_routes=7)

    assert given.guard is guard
    assert made.guard is not guard
    assert made.guard.config.max_routes == 7


def test_one_guard_may_serve_asgi_and_wsgi():
    """
    A guard that is given to several applications counts all of their requests.
    """
    guard = LeakGuard(monitor=False)

    async def asgi(scope, receive, send):
        """Answer nothing."""

    def wsgi(environ, start_response):
        return []

    ask(LeakGuardMiddleware(asgi, guard=guard))
    ask_wsgi(LeakGuardWSGIMiddleware(wsgi, guard=guard))

    assert requests(guard) == {"GET <unmatched>": 2}

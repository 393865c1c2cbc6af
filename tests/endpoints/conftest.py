"""What the tests of the debug endpoints share."""

import functools

import pytest

from leakguard import LeakGuard, LeakGuardMiddleware, LeakGuardWSGIMiddleware

from ..exchanges import ask, ask_wsgi

TOKEN = "correct-horse-battery"


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def wsgi(environ, start_response):
    start_response("299 The Application", [])
    return [environ["PATH_INFO"].encode()]


class Client:
    """Ask the debug endpoints of one guard, over ASGI or WSGI alike."""

    def __init__(self, kind, guard):
        self.guard = guard
        if kind == "asgi":
            self._ask = functools.partial(self._asgi, LeakGuardMiddleware(asgi, guard=guard))
        else:
            self._ask = functools.partial(self._wsgi, LeakGuardWSGIMiddleware(wsgi, guard=guard))

    def __call__(
        self, path, method="GET", *, query="", token=TOKEN, authorization=None, address="192.0.2.1"
    ):
        if authorization is None and token is not None:
            authorization = b"Bearer " + token.encode()
        return self._ask(path, method, query, authorization, address)

    def _asgi(self, app, path, method, query, authorization, address):
        headers = [(b"host", b"testserver")]
        if authorization is not None:
            headers.append((b"authorization", authorization))
        return ask(
            app, path, method, query_string=query.encode(), headers=headers,
            client=(address, 40000) if address else None,
        )  # fmt: skip

    def _wsgi(self, app, path, method, query, authorization, address):
        more = {"QUERY_STRING": query, "REMOTE_ADDR": address}
        if authorization is not None:
            more["HTTP_AUTHORIZATION"] = authorization.decode("latin-1")
        return ask_wsgi(app, path.encode().decode("latin-1"), method, **more)


@pytest.fixture
def guards():
    """Return a function that makes guards whose walks are short, and closes them at the end."""
    made = []

    def make(**settings):
        given = {"monitor": False, "walk": "inline", "inline_budget_s": 0.005, "token": TOKEN}
        made.append(LeakGuard(**{**given, **settings}))
        return made[-1]

    yield make
    for guard in made:
        guard.close()


@pytest.fixture(params=["asgi", "wsgi"])
def clients(request, guards):
    """Return a function that makes a client for a guard with these settings."""
    return lambda **settings: Client(request.param, guards(**settings))


@pytest.fixture
def client(clients):
    """Return a client of a guard with a token."""
    return clients()

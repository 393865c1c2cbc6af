"""The route of a WSGI request is the rule that Werkzeug or Django matched."""

import random

import flask
import pytest
import werkzeug
from werkzeug.routing import Map, Rule

from leakguard import LeakGuard, LeakGuardWSGIMiddleware

from ..exchanges import ask_wsgi, environ_of, requests, rows


@pytest.fixture
def app(guard):
    """Return a Flask application that the guard follows."""
    app = flask.Flask(__name__)

    @app.get("/items/<int:id>")
    def item(id):  # noqa: A002
        return str(id)

    @app.get("/stream/<name>")
    def stream(name):
        return flask.Response(iter([b"a", b"b"]))

    @app.get("/fail/<name>")
    def fail(name):
        raise ValueError("own")

    @app.get("/abort/<name>")
    def abort(name):
        flask.abort(418)

    return guard.install(app)


@pytest.mark.parametrize(
    ("path", "rule", "status"),
    [
        ("/items/7", "/items/<int:id>", 200),
        ("/stream/a", "/stream/<name>", 200),
        ("/fail/a", "/fail/<name>", 500),
        ("/abort/a", "/abort/<name>", 418),
        ("/items/x", "<unmatched>", 404),
        ("/nowhere", "<unmatched>", 404),
    ],
)
def test_flask_request_is_counted_under_its_rule(guard, app, path, rule, status):
    """
    Flask's rule is the route, whether the view answers, streams, aborts or fails.
    """
    reply = ask_wsgi(app, path)

    assert reply.status == status
    assert requests(guard) == {f"GET {rule}": 1}


def test_flask_request_that_raises_to_the_server_has_its_rule(guard, app):
    """
    An exception that Flask propagates, as it does while testing, is counted under the rule.
    """
    app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(ValueError, match="own"):
        ask_wsgi(app, "/fail/a")

    assert requests(guard) == {"GET /fail/<name>": 1}


def test_flask_request_that_no_guard_follows_fails_as_ever(guard, app):
    """
    A request that goes past the guard raises what it raises, and notes nothing.
    """
    app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(ValueError, match="own"):
        ask_wsgi(app.wsgi_app.app, "/fail/a")

    assert requests(guard) == {}


def test_flask_application_is_adapted_once(guard, app):
    """
    The same guard twice around one Flask application counts a failing request once, by its rule.
    """
    app.config["PROPAGATE_EXCEPTIONS"] = True
    again = LeakGuardWSGIMiddleware(app.wsgi_app.app, guard=guard)

    with pytest.raises(ValueError, match="own"):
        ask_wsgi(again, "/fail/a")

    assert requests(guard) == {"GET /fail/<name>": 1}


def test_flask_request_that_ends_before_its_view_has_its_rule(guard, app):
    """
    A request that `before_request` refuses was matched all the same.
    """

    @app.before_request
    def refuse():
        flask.abort(403)

    reply = ask_wsgi(app, "/items/1")

    assert reply.status == 403
    assert requests(guard) == {"GET /items/<int:id>": 1}


def test_flask_error_handler_keeps_the_rule(guard, app):
    """
    A 500 that a handler answers belongs to the route that failed.
    """

    @app.errorhandler(ValueError)
    def explain(error):
        return "explained", 500

    assert ask_wsgi(app, "/fail/a").body == b"explained"
    assert requests(guard) == {"GET /fail/<name>": 1}


def test_flask_method_that_a_rule_refuses_is_unmatched(guard, app):
    """
    Werkzeug names no rule for a 405, so there is none to count it under.
    """
    assert ask_wsgi(app, "/items/1", "DELETE").status == 405
    assert requests(guard) == {"DELETE <unmatched>": 1}


def test_flask_blueprints_prefix_the_rule(guard, app):
    """
    The rule of a blueprint's view carries the prefixes, nested ones included.
    """
    outer, inner = (flask.Blueprint(name, __name__) for name in ("outer", "inner"))
    inner.add_url_rule("/books/<id>", view_func=lambda id: id, endpoint="books")  # noqa: A006
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer/<room>")
    app.url_value_preprocessor(lambda endpoint, values: values and values.pop("room", None))

    assert ask_wsgi(app, "/outer/1/inner/books/7").body == b"7"
    assert requests(guard) == {"GET /outer/<room>/inner/books/<id>": 1}


def test_flask_view_is_named_as_the_handler(guard, app):
    """
    The report says which view serves a rule.
    """
    ask_wsgi(app, "/items/7")

    assert rows(guard)["GET", "/items/<int:id>"].handler.endswith("app.<locals>.item")


def test_werkzeug_application_is_counted_under_its_rule(guard):
    """
    An application made of Werkzeug's parts alone is known by the rule on its request.
    """
    rules = Map([Rule("/things/<name>", endpoint="thing")])

    def app(environ, start_response):
        request = werkzeug.Request(environ)
        request.url_rule, _ = rules.bind_to_environ(environ).match(return_rule=True)
        return werkzeug.Response("thing")(environ, start_response)

    assert ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard), "/things/a").body == b"thing"
    assert requests(guard) == {"GET /things/<name>": 1}


@pytest.mark.parametrize("stranger", ["a text", 7, {"url_rule": "x"}])
def test_stranger_in_the_place_of_the_request_does_no_harm(guard, stranger):
    """
    An application may put anything at all under Werkzeug's key.
    """

    def app(environ, start_response):
        environ["werkzeug.request"] = stranger
        start_response("200 OK", [])
        return [b"a"]

    assert ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard)).body == b"a"
    assert requests(guard) == {"GET <unmatched>": 1}
    assert guard.report().errors["counts"] == {}


def test_request_object_that_raises_does_no_harm(guard):
    """
    An object that fails to tell its rule costs the request nothing.
    """

    class Hostile:
        @property
        def url_rule(self):
            raise LookupError("own")

    def app(environ, start_response):
        environ["werkzeug.request"] = Hostile()
        start_response("200 OK", [])
        return [b"a"]

    assert ask_wsgi(LeakGuardWSGIMiddleware(app, guard=guard)).body == b"a"
    assert sum(requests(guard).values()) == 1


def test_report_during_a_stream_leaves_the_rule_as_it_is(guard, app):
    """
    Asking for a report while a response streams shows its rule, and changes nothing for its end.
    """
    body = app(environ_of("/stream/a"), lambda status, headers, exc_info=None: None)
    in_flight = [rows(guard)["GET", "/stream/<name>"].in_flight for _ in range(2)]

    body.close()

    assert in_flight == [1, 1]
    assert requests(guard) == {"GET /stream/<name>": 1}


def test_unknown_method_is_counted_as_other(guard, app):
    """
    A method that no standard knows is not kept by its name.
    """
    ask_wsgi(app, "/nowhere", "BREW")

    assert requests(guard) == {"<other> <unmatched>": 1}


def test_scanner_does_not_grow_the_guard(app):
    """
    Distinct paths and methods at random make no record beyond those of known methods.
    """
    guard = LeakGuard(monitor=False)
    wrapped = LeakGuardWSGIMiddleware(app.wsgi_app.app, guard=guard)
    chance = random.Random(1)

    for _ in range(3000):
        path = "/" + "".join(chance.choices("abcdef/%<>", k=12))
        ask_wsgi(wrapped, path, "".join(chance.choices("GETPOSX", k=3)))

    assert set(requests(guard)) <= {"<other> <unmatched>", "GET <unmatched>"}
    assert sum(requests(guard).values()) == 3000

"""The debug endpoints answer alike over ASGI and WSGI."""

import contextlib
import gc
import json
import threading
import weakref

import pytest
import structlog
from starlette.applications import Starlette
from starlette.routing import Mount

from leakguard import LeakGuardMiddleware, WalkError

from ..exchanges import ask, ask_wsgi, said
from .conftest import TOKEN, Client, asgi


class Clientele:
    """Something in a frame that a weak reference can follow."""


PAGES = ("/debug/memory", "/debug/snapshot", "/debug/snapshots", "/debug/snapshots/1-1")


def document(reply):
    return json.loads(reply.body)


def assert_problem(reply, status, detail=""):
    """Check an RFC 9457 problem document with all its fields."""
    assert reply.status == status
    assert reply.header("content-type") == "application/problem+json"
    assert reply.header("cache-control") == "no-store"
    assert reply.header("x-content-type-options") == "nosniff"
    problem = document(reply)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["title"]
    assert detail in problem["detail"]


def boom(*_, **__):
    raise LookupError("secret detail")


def test_memory_shows_the_report(client):
    """
    `GET /debug/memory` gives the guard's report as JSON.
    """
    client("/app")

    reply = client("/debug/memory")

    assert (reply.status, reply.header("content-type")) == (200, "application/json")
    assert document(reply).keys() == client.guard.report().to_dict().keys()
    assert document(reply)["routes"][0]["requests"] == 1


def test_requests_for_debug_urls_are_not_counted(client):
    """
    leakguard's own URLs appear in no route.
    """
    client("/debug/memory")
    client("/debug/memory", token=None)

    assert document(client("/debug/memory"))["routes"] == []


@pytest.mark.parametrize(
    ("path", "method", "query"),
    [
        ("/debug/snapshots", "GET", ""),
        ("/debug/snapshots", "HEAD", ""),
        ("/debug/snapshots", "POST", ""),
        ("/debug/snapshots/none", "GET", ""),
        ("/debug/snapshots/none", "DELETE", ""),
        ("/debug/snapshots/a/b", "GET", ""),
        ("/debug/memory/", "GET", ""),
        ("/debug/memory", "GET", "x=1"),
        ("/debug/memory", "OPTIONS", ""),
        ("/debug/snapshot", "GET", "base=none"),
        ("/debug/snapshot", "GET", "base=1&base=2"),
    ],
)
def test_both_kinds_of_middleware_answer_alike(guards, path, method, query):
    """
    Status, headers and body are the same over ASGI and WSGI, but for the body of HEAD.
    """
    over_asgi, over_wsgi = (Client(kind, guards())(path, method, query=query)
                            for kind in ("asgi", "wsgi"))  # fmt: skip

    assert over_wsgi.status == over_asgi.status
    assert sorted(over_wsgi.headers) == sorted(over_asgi.headers)
    assert over_wsgi.body == (b"" if method == "HEAD" else over_asgi.body)


@pytest.mark.parametrize("path", PAGES)
def test_without_token_and_authorizer_every_debug_url_is_missing(clients, caplog, path):
    """
    Nobody configured: 404 for everybody, whatever token is sent, and one line says how to open.
    """
    client = clients(token=None)

    for _ in range(3):
        assert_problem(client(path), 404, "not found")
    assert_problem(client(path, "POST", token=None), 404)

    (line,) = said(caplog, "debug_endpoints_closed")
    assert "LEAKGUARD_TOKEN" in line["advice"]


def test_broken_log_leaves_closed_urls_missing(clients):
    """
    A service whose log raises still answers 404.
    """
    client = clients(token=None)
    structlog.configure(processors=[boom])

    try:
        reply = client("/debug/memory")
    finally:
        structlog.reset_defaults()

    assert_problem(reply, 404)


@pytest.mark.parametrize(
    "path",
    ["/", "/debug", "/debug/", "/debug/other", "/debug/memoryx", "/x/debug/memory", "/debugmemory"],
)
def test_other_urls_reach_the_application(client, path):
    """
    Only leakguard's own URLs are taken; others below the prefix are the application's.
    """
    reply = client(path)

    assert (reply.status, reply.body) == (299, path.encode())


def test_websocket_at_a_debug_url_reaches_the_application(guards):
    """
    The debug URLs are for HTTP alone.
    """
    reply = ask(LeakGuardMiddleware(asgi, guard=guards()), "/debug/memory", type="websocket")

    assert reply.status == 299


def test_prefix_is_a_setting(clients):
    """
    With another prefix the debug URLs stand there, and nowhere else.
    """
    client = clients(prefix="/internal/leaks")

    assert client("/internal/leaks/memory").status == 200
    assert client("/internal/leaks/snapshots").status == 200
    assert client("/debug/memory").status == 299


@pytest.mark.parametrize("path", ["/debug/memory", "/proxy/debug/memory"])
def test_root_path_of_the_server_is_left_aside(guards, path):
    """
    Behind a proxy the URLs answer with and without the prefix that it gave.
    """
    app = LeakGuardMiddleware(asgi, guard=guards())
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]

    assert ask(app, path, root_path="/proxy", headers=headers).status == 200


def test_debug_urls_of_a_mounted_guard_answer_below_the_mount(guards):
    """
    A guard around a sub-application serves its URLs below that mount.
    """
    app = Starlette(routes=[Mount("/sub", LeakGuardMiddleware(asgi, guard=guards()))])
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]

    assert ask(app, "/sub/debug/memory", headers=headers).status == 200
    assert ask(app, "/sub/debug/memory", headers=headers, query_string=b"x=1").status == 400
    assert ask(app, "/debug/memory", headers=headers).status == 404


@pytest.mark.parametrize(
    ("path", "query", "detail"),
    [
        ("/debug/memory", "x=1", "query parameters here are: none; got 'x'"),
        ("/debug/memory", "x", "got 'x'"),
        ("/debug/snapshots", "base=1", "query parameters here are: none; got 'base'"),
        ("/debug/snapshots/1", "x=1", "got 'x'"),
        ("/debug/snapshot", "bse=1", "query parameters here are: base; got 'bse'"),
        ("/debug/snapshot", "base=1&base=2", "query parameter base must be given once"),
        ("/debug/snapshot", "base=1&base=1", "query parameter base must be given once"),
        ("/debug/snapshot", "base=", "query parameter base must be given once"),
        ("/debug/snapshot", "%ff%00=%ff", "query parameters here are: base"),
        pytest.param("/debug/memory", "y" * 5000 + "=1", "got '" + "y" * 40 + "'", id="long name"),
    ],
)
def test_bad_query_is_a_problem(client, path, query, detail):
    """
    A query parameter that is unknown, empty or repeated is answered 400, and says what is allowed.
    """
    assert_problem(client(path, query=query), 400, detail)


@pytest.mark.parametrize(
    "name",
    ["none", "1-0", "x" * 10_000, "☃", "..", "%2e%2e", "a%2fb", "'; drop", "\x00", "-1"],
    ids=lambda name: ascii(name[:10]),
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_id_is_a_problem(client, name, method):
    """
    Whatever stands in the place of an id, one that is not kept is answered 404.
    """
    reply = client(f"/debug/snapshots/{name}", method)

    assert_problem(reply, 404, "no snapshot has this id; kept are: none")


@pytest.mark.parametrize("rest", ["/a/b", "/../../etc/passwd", "/"])
def test_deeper_path_is_a_problem(client, rest):
    """
    A path below an id is nothing.
    """
    assert_problem(client("/debug/snapshots" + rest), 404)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "OPTIONS", "BREW"])
def test_wrong_method_is_a_problem(client, path, method):
    """
    A method that a page does not know is answered 405, with those that it knows.
    """
    reply = client(path, method)

    assert_problem(reply, 405)
    assert "GET" in reply.header("allow")


def test_report_that_fails_is_a_problem(client, monkeypatch, caplog):
    """
    An error in a page gives 500 without any detail, nothing to the server, and is counted.
    """
    monkeypatch.setattr(client.guard, "report", boom)

    reply = client("/debug/memory")
    monkeypatch.undo()

    assert_problem(reply, 500, "leakguard failed to answer")
    assert b"secret" not in reply.body
    assert client.guard.report().errors["counts"] == {"endpoints": 1}
    (line,) = said(caplog, "part_failed")
    assert (line["part"], line["error"]) == ("endpoints", "LookupError")


def test_snapshot_is_taken_and_kept(client):
    """
    `GET /debug/snapshot` takes one; its list and its own URL show it until it is deleted.
    """
    taken = document(client("/debug/snapshot"))

    assert {"id", "taken_at", "objects", "types", "how", "pause_s", "duration_s", "cpu_s", "age_s",
            "base", "diff", "complete"} <= taken.keys()  # fmt: skip
    assert taken["types"][0].keys() == {"type", "count", "size_bytes"}
    assert (taken["base"], taken["diff"]) == (None, None)
    url = f"/debug/snapshots/{taken['id']}"
    listed = document(client("/debug/snapshots"))["snapshots"]
    assert [(each["id"], each["types"]) for each in listed] == [(taken["id"], len(taken["types"]))]
    assert document(client(url))["types"] == taken["types"]
    deleted = client(url, "DELETE")
    assert (deleted.status, deleted.body) == (204, b"")
    assert deleted.header("cache-control") == "no-store"
    assert deleted.header("x-content-type-options") == "nosniff"
    assert_problem(client(url), 404)
    assert_problem(client(url, "DELETE"), 404)
    assert document(client("/debug/snapshots")) == {"snapshots": []}


def test_snapshot_within_the_cooldown_is_handed_out_again(client, caplog):
    """
    A second caller within the cool-down gets the same snapshot, and no second walk is made.
    """
    caplog.set_level("INFO", "leakguard")

    first, second = (document(client("/debug/snapshot")) for _ in range(2))

    assert second["id"] == first["id"]
    assert second["age_s"] >= first["age_s"]
    assert len(said(caplog, "snapshot_taken")) == 1


def test_snapshot_is_compared_with_the_one_before(clients):
    """
    Without `base` the previous snapshot is compared with, and the difference is by type.
    """
    client = clients(snapshot_cooldown_s=0)

    first, second = (document(client("/debug/snapshot")) for _ in range(2))

    assert second["id"] != first["id"]
    assert second["base"] == first["id"]
    assert isinstance(second["diff"], list)
    assert all(row.keys() == {"type", "count_diff", "size_diff"} for row in second["diff"])


def test_snapshot_is_compared_with_the_one_asked_for(clients):
    """
    `?base=ID` chooses the older snapshot; one that is not kept is a problem, and nothing is taken.
    """
    client = clients(snapshot_cooldown_s=0)
    first, _ = (document(client("/debug/snapshot")) for _ in range(2))

    third = document(client("/debug/snapshot", query=f"base={first['id']}"))

    assert third["base"] == first["id"]
    assert_problem(client("/debug/snapshot", query="base=none"), 404, "kept are: ")
    assert len(document(client("/debug/snapshots"))["snapshots"]) == 3


def test_snapshots_are_kept_up_to_a_bound(clients):
    """
    The oldest snapshot makes room for the newest.
    """
    client = clients(snapshot_cooldown_s=0, max_snapshots=2)

    ids = [document(client("/debug/snapshot"))["id"] for _ in range(3)]

    listed = document(client("/debug/snapshots"))["snapshots"]
    assert [each["id"] for each in listed] == ids[1:]


def test_callers_at_one_moment_get_one_snapshot(client, caplog):
    """
    However many ask at once, one walk is made, and all get what it found.
    """
    caplog.set_level("INFO", "leakguard")
    together = threading.Barrier(6)
    ids = []

    def get():
        together.wait()
        ids.append(document(client("/debug/snapshot"))["id"])

    threads = [threading.Thread(target=get) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 6
    assert len(set(ids)) == 1
    assert len(said(caplog, "snapshot_taken")) == 1


def test_walk_that_fails_is_a_problem_and_is_not_repeated_at_once(clients, caplog):
    """
    Where no snapshot can be had, 503 says when to come again, and no caller makes it worse.
    """
    client = clients(walk="off")

    replies = [client("/debug/snapshot") for _ in range(3)]

    for reply in replies:
        assert_problem(reply, 503, "walks are switched off")
        assert int(reply.header("retry-after")) > 0
    assert [line["reason"] for line in said(caplog, "walk_failed")] == ["off"]


def test_walk_is_tried_again_after_the_cooldown(clients, caplog):
    """
    A failure is forgotten when the cool-down is over.
    """
    client = clients(walk="off", snapshot_cooldown_s=0)

    for _ in range(2):
        assert client("/debug/snapshot").status == 503

    assert len(said(caplog, "walk_failed")) == 2


def test_failed_walk_keeps_no_request(guards):
    """
    The failure that is remembered for the cool-down holds none of the frames that asked.
    """
    guard = guards(walk="off")
    dying = []

    def ask_in_request():
        held = Clientele()
        dying.append(weakref.ref(held))
        guard.recent_snapshot()

    for _ in range(2):
        with contextlib.suppress(WalkError):
            ask_in_request()

    gc.collect()
    assert [each() for each in dying] == [None, None]


def test_head_has_no_body_over_wsgi(guards):
    """
    A WSGI server is given no body for HEAD, with the headers of GET.
    """
    client = Client("wsgi", guards())

    head, get = client("/debug/snapshots", "HEAD"), client("/debug/snapshots")

    assert (head.body, head.headers) == (b"", get.headers)


def test_wsgi_path_that_is_no_text_is_a_problem(guards):
    """
    Bytes in the path that are no UTF-8 do no harm.
    """
    client = Client("wsgi", guards())
    app = client._ask.args[0]

    reply = ask_wsgi(app, "/debug/snapshots/\xff\xfe", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")

    assert_problem(reply, 404)

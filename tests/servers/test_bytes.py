"""What a guarded service sends arrives byte for byte as that of a bare one."""

import pytest

from .clients import raw_response, without_date
from .harness import ASGI_SERVERS, LOGIN, WSGI_SERVERS
from .services import FASTAPI, FLASK

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

FRAMEWORK_PATHS = (
    "/list", "/generated", "/streamed", "/file", "/unchanged", "/boom/1", "/not-there",
)  # fmt: skip
PLAIN_PATHS = (
    "/single", "/several", "/tuple", "/sized", "/generator", "/late", "/file", "/written",
    "/unchanged", "/failing", "/replaced", "/raising", "/not-there",
)  # fmt: skip
TWINS = [
    *((kind, FASTAPI.target, FRAMEWORK_PATHS) for kind in ASGI_SERVERS.values()),
    *((kind, "apps_wsgi:app", PLAIN_PATHS) for kind in WSGI_SERVERS.values()),
    (WSGI_SERVERS["gunicorn-gthread"], FLASK.target, FRAMEWORK_PATHS),
    (WSGI_SERVERS["waitress"], FLASK.target, FRAMEWORK_PATHS),
]

each_server = pytest.mark.parametrize(
    ("twins", "paths"),
    [((kind, target), paths) for kind, target, paths in TWINS],
    indirect=["twins"],
    ids=[f"{target.partition(':')[0]}-{kind}" for kind, target, _ in TWINS],
    scope="module",
)


@each_server
def test_responses_are_the_same(twins, paths):
    """
    Status line, headers and body are the same, for every kind of body and of status.
    """
    bare, guarded = twins

    for path in paths:
        for method in ("GET", "HEAD", "OPTIONS"):
            expected = without_date(raw_response(bare, path, method))
            assert without_date(raw_response(guarded, path, method)) == expected, (method, path)


@each_server
def test_closed_endpoints_are_not_there(twins, paths):
    """
    Where nobody has set a token, nobody is let in, with any token, and the log says what to do.
    """
    _, guarded = twins

    answers = [
        guarded.get(path, headers=headers)
        for path in ("/debug/memory", "/debug/snapshot", "/debug/snapshots", "/debug/snapshots/1")
        for headers in ({}, LOGIN)
    ]

    assert [status for status, _, _ in answers] == [404] * len(answers)
    said = guarded.log().count("debug_endpoints_closed")
    assert 1 <= said <= guarded.kind.workers

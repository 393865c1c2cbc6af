"""`wsgiref.validate` finds nothing in the WSGI middleware, on either side of it."""

import pytest

from .conftest import QUICK_PASSES
from .harness import LOGIN, WSGI_SERVERS
from .test_bytes import PLAIN_PATHS

pytestmark = pytest.mark.server


@pytest.mark.parametrize("side", ["outside", "inside"])
def test_validator_finds_nothing(start, side):
    """
    A service answers through a validator as it does without one, and the validator is silent.
    """
    wsgiref = WSGI_SERVERS["wsgiref"]
    bare = start(wsgiref, "apps_wsgi:app", {"SERVE_BARE": "1"})
    validated = start(wsgiref, f"apps_wsgi:validated_{side}", QUICK_PASSES)

    for path in PLAIN_PATHS:
        for method in ("GET", "HEAD"):
            status, headers, body = bare.get(path, method=method)
            found = validated.get(path, method=method)
            assert (found[0], found[2]) == (status, body), (method, path)
            assert found[1].get("content-type") == headers.get("content-type"), (method, path)
    for path in ("/debug/memory", "/debug/snapshot", "/debug/snapshots/none"):
        validated.get(path, headers=LOGIN)
    assert validated.get("/debug/memory", method="HEAD", headers=LOGIN)[2] == b""
    assert validated.debug()["errors"]["counts"] == {}

    log = validated.log().replace("RuntimeError: raised before an answer", "")
    assert "AssertionError" not in log
    assert "without being closed" not in log
    assert "Warning" not in log

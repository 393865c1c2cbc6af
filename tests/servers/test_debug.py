"""The debug endpoints answer on every server, to those who may ask."""

import json

import pytest

from .conftest import Observed
from .harness import LOGIN, TOKEN, wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


def test_memory_is_shown_to_one_with_the_token(observed: Observed):
    """
    The report comes as JSON that no cache keeps, from a worker of this server.
    """
    status, headers, body = observed.server.get("/debug/memory", headers=LOGIN)

    report = json.loads(body)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body)
    assert report["version"] == 1
    assert report["process"]["pid"] in {each.pid for each in observed.server.family()}
    assert report["overhead"]["monitor"] is True


def test_wrong_token_is_refused(observed: Observed):
    """
    Without the right token there is a challenge, and the token is nowhere in log or answer.
    """
    answers = [
        observed.server.get("/debug/memory", headers=headers)
        for headers in ({}, {"Authorization": "Bearer wrong"})
    ]

    for status, headers, body in answers:
        assert status == 401
        assert headers["www-authenticate"].startswith("Bearer")
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["status"] == 401
    assert TOKEN not in observed.server.log()


def test_snapshot_is_taken_and_kept(observed: Observed):
    """
    A snapshot counts types with sizes, and its worker lists it from then on.
    """
    server = observed.server

    taken = server.debug("/debug/snapshot")

    def listed() -> bool:
        kept = server.debug("/debug/snapshots")["snapshots"]
        return taken["id"] in [each["id"] for each in kept]

    rows = {row["type"]: row for row in taken["types"]}
    assert taken["how"] == "fork"
    assert taken["complete"]
    assert taken["objects"] > 10_000
    assert rows["dict"]["count"] > 1000
    assert rows["dict"]["size_bytes"] > 64_000
    wait_until(listed, "the worker that has taken the snapshot lists it")


def test_bad_question_gets_a_problem(observed: Observed):
    """
    Bad ids, queries and methods are answered with a JSON problem.
    """
    answers = {
        question: observed.server.get(question[1], method=question[0], headers=LOGIN)
        for question in (
            ("GET", "/debug/snapshots/none"),
            ("GET", "/debug/memory?what=all"),
            ("DELETE", "/debug/memory"),
        )
    }

    assert [status for status, _, _ in answers.values()] == [404, 400, 405]
    for _, headers, body in answers.values():
        assert headers["content-type"] == "application/problem+json"
        assert b"Traceback" not in body

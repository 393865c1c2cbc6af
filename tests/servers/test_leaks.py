"""Leaky routes of real services are named, their mended twins are not."""

from typing import Any

import pytest

from .conftest import Observed, named_by, row_of
from .harness import wait_until
from .services import Leak

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
at_either_concurrency = pytest.mark.parametrize("concurrency", [1, 32])


def _is_of(suspect: Any, leak: Leak) -> bool:
    """Tell whether *suspect* is what *leak* is to be reported as; event loops differ in name."""
    holder = suspect["holder"]
    if leak.holder.startswith("<event loop"):
        return suspect["kind"] == leak.kind and holder.startswith(leak.holder)
    return (suspect["kind"], holder) == (leak.kind, leak.holder)


@at_either_concurrency
def test_leaky_route_is_confirmed_with_kind_and_holder(observed: Observed, concurrency):
    """
    Each leaky route has a confirmed suspect of the right kind, with the dotted holder.
    """
    found = {
        name: [
            (suspect["kind"], suspect["holder"])
            for suspect in observed.suspects(concurrency, of=(leak.method, leak.route))
            if suspect["state"] == "confirmed" and _is_of(suspect, leak)
        ]
        for name, leak in observed.service.leaks.items()
    }

    assert [name for name, suspects in found.items() if not suspects] == []


@at_either_concurrency
def test_leaky_route_has_one_suspect(observed: Observed, concurrency):
    """
    One cause is one suspect, in each worker, and names one route.
    """
    causes = {
        (pid, suspect["id"]): named_by(suspect)
        for pid, report in observed.reports[concurrency].items()
        for suspect in report["suspects"]
    }
    by_route = [(pid, *route) for (pid, _), routes in causes.items() for route in sorted(routes)]

    assert [routes for routes in causes.values() if len(routes) != 1] == []
    assert len(set(by_route)) == len(by_route)


@at_either_concurrency
def test_count_is_exact(observed: Observed, concurrency):
    """
    What the workers' suspects count together is the number of requests sent to the route.
    """
    service, counted = observed.service, {}
    for name, leak in service.leaks.items():
        route = (leak.method, leak.route)
        counted[name] = 0
        for report in observed.workers(concurrency):
            own = [each for each in report["suspects"] if route in named_by(each)]
            row = row_of(report, route)
            # A worker that got too few of the requests has no suspect yet, but has the figure.
            counted[name] += (
                sum(each["total"]["count"] for each in own)
                if own
                else max(row["retained_requests"], row["listeners_unreleased"])
            )

    assert counted == {name: observed.sent[concurrency][name] for name in service.leaks}


@at_either_concurrency
def test_each_request_is_said_to_leave_one_behind(observed: Observed, concurrency):
    """
    The rate of a leak that takes one thing a request is one a request.
    """
    rates = {
        (name, suspect["per_request"]["count"])
        for name, leak in observed.service.leaks.items()
        for suspect in observed.suspects(concurrency, of=(leak.method, leak.route))
    }

    assert {each for each in rates if not 0.9 <= each[1] <= 1.1} == set()


@at_either_concurrency
def test_healthy_routes_are_no_suspects(observed: Observed, concurrency):
    """
    Neither the mended twins nor any other route without a leak is named by a suspect.

    That holds with 32 open keep-alive connections, too, each of which keeps its last request.
    """
    service = observed.service
    leaky = {(leak.method, leak.route) for leak in service.leaks.values()}
    named = {
        route
        for report in observed.workers(concurrency)
        for suspect in report["suspects"]
        for route in named_by(suspect)
    }

    assert named - leaky == set()


@at_either_concurrency
def test_healthy_routes_retain_nothing(observed: Observed, concurrency):
    """
    No request of a healthy route counts as retained, and no listener as unreleased.
    """
    left = {
        name: (row["retained_requests"], row["listeners_unreleased"])
        for name in (*observed.service.healthy, *observed.service.failing)
        for report in observed.workers(concurrency)
        for row in [row_of(report, observed.service.route(name))]
    }

    assert left == dict.fromkeys(left, (0, 0))


@at_either_concurrency
def test_every_request_is_counted(observed: Observed, concurrency):
    """
    Each route has counted what was sent, also where it raised or the client left, and is idle.
    """
    service = observed.service
    names = (*service.leaks, *service.healthy, *service.failing)

    rows = {
        name: [row_of(report, service.route(name)) for report in observed.workers(concurrency)]
        for name in names
    }

    assert {name: sum(row["requests"] for row in each) for name, each in rows.items()} == {
        name: observed.sent[concurrency][name] for name in names
    }
    assert {name for name, each in rows.items() if any(row["in_flight"] for row in each)} == set()


def test_head_and_options_are_routes_of_their_own(observed: Observed):
    """
    A method other than GET is counted apart.
    """
    server, methods = observed.server, observed.service.methods

    for method in methods:
        for _ in range(3):
            server.get("/list", method=method)

    def counted() -> dict[str, int]:
        reports = server.reports().values()
        return {
            method: sum(row_of(report, (method, "/list"))["requests"] for report in reports)
            for method in methods
        }

    # A request is over a moment after its client has the answer.
    wait_until(lambda: set(counted().values()) == {3}, "each method is counted three times")


def test_nothing_of_leakguard_fails(observed: Observed):
    """
    No part has had an error, and walks are whole.
    """
    for report in observed.workers(32):
        assert report["errors"]["counts"] == {}
        assert report["errors"]["switched_off"] == []
        assert report["overhead"]["last_walk"]["how"] == "fork"
        assert report["overhead"]["last_walk"]["complete"]
        assert report["overhead"]["canaries_missed"] == 0
        assert report["overhead"]["listeners_missed"] == 0
    assert "walk_failed" not in observed.server.log()

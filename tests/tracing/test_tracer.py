"""Traces are opened and closed without ever raising."""

import pytest

from leakguard import LeakGuard
from leakguard.core.registry import RouteRecord

from ..exchanges import http_scope


@pytest.fixture
def tracer():
    return LeakGuard(monitor=False).tracer


@pytest.fixture
def record():
    return RouteRecord("GET", "/")


def test_scope_is_followed_once(tracer):
    """
    A scope that this guard follows already is not opened again; another guard's is.
    """
    scope = http_scope()
    other = LeakGuard(monitor=False).tracer

    opened = [each.open(scope) is not None for each in (tracer, tracer, other, other)]

    assert opened == [True, False, True, False]


def test_request_whose_route_cannot_be_known_yet_has_no_row(tracer):
    """
    Between its opening and the application's call a request is on no route.
    """
    trace = tracer.open(http_scope())

    assert tracer.routes_under_way() == []
    assert trace is not None


def test_trace_closed_twice_does_no_harm(tracer, record):
    """
    A second close raises nothing.
    """
    trace = tracer.open(http_scope())

    tracer.close(trace, record)
    tracer.close(trace, record)

    assert tracer.faults.counts() == {}


def test_closed_trace_holds_no_request(tracer, record):
    """
    What stays in a context that is kept leads to no scope.
    """
    trace = tracer.open(http_scope())

    tracer.close(trace, record)

    assert (trace.scope, trace.canary) == (None, None)


def test_loops_are_known_as_long_as_they_live(tracer):
    """
    Outside of an event loop, as in WSGI, there is none to walk from.
    """
    tracer.open(http_scope())

    assert tracer.loops() == []


def test_guard_that_was_opened_first_serves_once(tracer):
    """
    The first request wakes the guard; further ones find it awake.
    """
    before = tracer.serving

    tracer.open(http_scope())
    tracer.open(http_scope())

    assert (before, tracer.serving) == (False, True)


def test_objects_of_a_disturbed_request_are_left_out_of_the_exact_figure(tracer, record):
    """
    A collection during a request makes its count an estimate.
    """
    trace = tracer.open(http_scope())
    trace.objects = 7
    tracer.gauge.collections += 1

    tracer.close(trace, record)

    assert (record.requests, record.measured, record.objects_all) == (1, 1, 7)
    assert (record.exclusive, record.objects) == (0, 0)

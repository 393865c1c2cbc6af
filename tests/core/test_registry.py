"""Totals by route."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.registry import METHODS, OTHER, Registry
from leakguard.core.site import Site


@pytest.fixture
def registry():
    return Registry(max_routes=2)


def test_route_has_one_record(registry):
    """
    The same method and template give the same record.
    """
    first = registry.record("GET", "/a")
    again = registry.record("GET", "/a")

    assert again is first
    assert registry.known["GET", "/a"] is first


def test_methods_are_kept_apart(registry):
    """
    One template with two methods has two records, in the order of their first requests.
    """
    registry.record("POST", "/a")
    registry.record("GET", "/a")

    assert [(each.method, each.route) for each in registry.records()] == [
        ("POST", "/a"),
        ("GET", "/a"),
    ]


def test_handler_is_kept(registry):
    """
    A record names its handler.
    """
    handler = Site("shop.py", 3, "buy", "handler")

    record = registry.record("GET", "/a", handler)

    assert record.handler is handler


def test_full_registry_counts_newcomers_together(registry):
    """
    What comes after the bound shares one record, without a handler.
    """
    known = [registry.record("GET", route) for route in ("/a", "/b")]

    late = registry.record("GET", "/c", Site("shop.py", 3, "buy", "handler"))

    assert (late.method, late.route, late.handler) == (OTHER, OTHER, None)
    assert registry.record("PUT", "/d") is late
    assert registry.record("GET", "/b") is known[1]


def test_unknown_methods_are_one(registry):
    """
    A scanner's invented methods are counted as one.
    """
    first = registry.record("SPAM", "/a")
    second = registry.record("EGGS", "/a")

    assert first is second
    assert first.method == OTHER


@given(
    bound=st.integers(1, 5),
    calls=st.lists(st.tuples(st.sampled_from([*METHODS, "SPAM", "EGGS"]), st.text(max_size=2))),
)
def test_bound_holds_under_any_order_of_calls(bound, calls):
    """
    There is never more than one record beyond the bound, and each call gets a record.
    """
    registry = Registry(max_routes=bound)

    for method, route in calls:
        registry.record(method, route).requests += 1

    records = registry.records()
    assert len(records) <= bound + 1
    assert sum(record.requests for record in records) == len(calls)
    assert len({(record.method, record.route) for record in records}) == len(records)


def test_threads_get_the_same_record():
    """
    Eight threads asking for a few new routes make a record for each, once.
    """
    registry = Registry(max_routes=100)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: registry.record("GET", f"/{n % 10}"), range(800)))

    assert len(set(found)) == 10
    assert len(registry.records()) == 10

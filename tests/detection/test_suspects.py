"""Suspects, and when they change their state."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakguard.core.registry import RouteRecord
from leakguard.core.site import Site
from leakguard.core.suspect import Observation
from leakguard.detection.suspects import SuspectBook, suspect_id

SITE = Site("/srv/shop.py", 5, "buy", "call")


def observation(record, count, *, place="shop.hub", size_bytes=None, kind="retained_request"):
    return Observation(
        kind=kind,
        signature=(place,),
        record=record,
        count=count,
        size_bytes=size_bytes,
        holder=place,
        path=(f"{place}: list",),
        sites=(SITE,),
        evidence=("seen",),
    )


class Service:
    """A service whose routes answer requests, pass by pass."""

    def __init__(self, clock, max_suspects=10):
        self.book = SuspectBook(max_suspects=max_suspects, clock=clock)
        self.requests = {}

    def serve(self, *seen, requests=10, **more):
        for each in seen:
            self.requests.setdefault(each.record, 0)
        for record in self.requests:
            self.requests[record] += requests
        return self.book.observe(seen, dict(self.requests), **more)


@pytest.fixture
def service(clock):
    return Service(clock)


@pytest.fixture
def buy():
    return RouteRecord("GET", "/buy")


@pytest.fixture
def sell():
    return RouteRecord("POST", "/sell")


def test_change_of_state_is_said_once(service, buy):
    """
    A leak is returned when it becomes a suspect, is confirmed and is resolved, and not between.
    """
    said = [service.serve(observation(buy, 10 * number)) for number in range(1, 7)]
    said += [service.serve(), service.serve()]

    assert [[each.state for each in changed] for changed in said] == [
        [], ["suspect"], [], ["confirmed"], [], [], ["resolved"], [],
    ]  # fmt: skip


def test_suspect_says_what_is_known(service, buy, clock):
    """
    A suspect has its place, its route, how much there is, and when it was seen.
    """
    service.serve(observation(buy, 10, size_bytes=1000))
    clock.now += 30
    (suspect,) = service.serve(observation(buy, 20, size_bytes=2000))

    assert suspect.id == suspect_id("retained_request", ("shop.hub",))
    assert (suspect.kind, suspect.holder, suspect.how) == (
        "retained_request",
        "shop.hub",
        "exact",
    )
    assert [(each.route, each.method, each.share) for each in suspect.routes] == [
        ("/buy", "GET", 1.0)
    ]
    assert (suspect.per_request.count, suspect.per_request.bytes) == (1.0, 100.0)
    assert (suspect.total.count, suspect.total.bytes) == (20, 2000)
    assert (suspect.first_seen, suspect.last_seen) == (1000.0, 1030.0)
    assert (suspect.sites, suspect.evidence) == ((SITE,), ("seen",))
    assert "shop.hub" in suspect.advice


def test_size_that_was_not_measured_is_not_known(service, buy):
    """
    Without a size there is none for a request either.
    """
    service.serve(observation(buy, 10))
    (suspect,) = service.serve(observation(buy, 20))

    assert suspect.per_request.bytes is None
    assert suspect.total.bytes is None


def test_routes_of_one_place_share_it(service, buy, sell):
    """
    One place is one suspect, whatever number of routes puts things there, the worst first.
    """
    for number in range(1, 6):
        service.serve(observation(buy, 10 * number), observation(sell, 30 * number))

    (suspect,) = service.book.suspects()

    assert [(each.route, each.share) for each in suspect.routes] == [
        ("/sell", 0.75),
        ("/buy", 0.25),
    ]
    assert suspect.total.count == 200


def test_places_are_told_apart(service, buy):
    """
    Two places of one route are two suspects, the larger one first.
    """
    for number in range(1, 6):
        service.serve(
            observation(buy, 10 * number, place="shop.small"),
            observation(buy, 90 * number, place="shop.large"),
        )

    assert [each.holder for each in service.book.suspects()] == ["shop.large", "shop.small"]


def test_confirmed_suspects_come_first(service, buy):
    """
    A confirmed one stands above a larger one that is only suspected.
    """
    for number in range(1, 6):
        service.serve(observation(buy, 10 * number, place="shop.old"))
    for number in (6, 7):
        service.serve(
            observation(buy, 10 * number, place="shop.old"),
            observation(buy, 1000 * number, place="shop.new"),
        )

    found = [(each.holder, each.state) for each in service.book.suspects()]

    assert found == [("shop.old", "confirmed"), ("shop.new", "suspect")]


def test_what_is_seen_no_longer_is_gone(service, buy):
    """
    A suspect that nothing is left of is resolved, and says who had left it.
    """
    for number in range(1, 6):
        service.serve(observation(buy, 10 * number))

    (suspect,) = service.serve()

    assert (suspect.state, suspect.total.count) == ("resolved", 0)
    assert [each.route for each in suspect.routes] == ["/buy"]


def test_kind_that_could_not_be_looked_for_is_not_gone(service, buy):
    """
    A pass without a walk says nothing about held requests.
    """
    for number in range(1, 6):
        service.serve(observation(buy, 10 * number))

    changed = service.serve(kinds=("listener",))

    assert changed == []
    assert [each.state for each in service.book.suspects()] == ["confirmed"]


def test_things_there_before_the_first_request_seen_are_no_growth(service, buy):
    """
    What is not growing is no suspect, however much there is.
    """
    for _ in range(10):
        service.serve(observation(buy, 500))

    assert service.book.suspects() == ()


def test_resolved_suspects_are_dropped_before_living_ones(clock, buy):
    """
    A full book keeps what is confirmed.
    """
    service = Service(clock, max_suspects=1)
    for number in range(1, 6):
        service.serve(observation(buy, 10 * number, place="shop.old"))
    service.serve()
    for number in range(1, 6):
        service.serve(observation(buy, 10 * number, place="shop.new"))

    assert [(each.holder, each.state) for each in service.book.suspects()] == [
        ("shop.new", "confirmed")
    ]


def test_least_grown_suspects_are_dropped_first(clock, buy):
    """
    Of suspects of one state a full book keeps the largest.
    """
    service = Service(clock, max_suspects=2)
    for number in range(1, 6):
        service.serve(
            *(observation(buy, size * number, place=f"shop.{size}") for size in (10, 30, 20))
        )

    assert [each.holder for each in service.book.suspects()] == ["shop.30", "shop.20"]


@settings(max_examples=50)
@given(
    bound=st.integers(1, 4),
    passes=st.lists(
        st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1), st.integers(0, 50)), max_size=9),
        max_size=15,
    ),
)
def test_book_is_bounded(bound, passes):
    """
    Whatever is seen, there are never more suspects than the bound, and each is told apart.
    """
    service = Service(itertools.count().__next__, max_suspects=bound)
    records = [RouteRecord("GET", "/a"), RouteRecord("GET", "/b")]

    for seen in passes:
        service.serve(
            *(
                observation(records[route], count, place=f"shop.{place}")
                for place, route, count in {(place, route): (place, route, count)
                                            for place, route, count in seen}.values()
            )
        )  # fmt: skip
        found = service.book.suspects()
        assert len(found) <= bound
        assert len({each.id for each in found}) == len(found)
        for each in found:
            assert abs(sum(share.share for share in each.routes) - 1) < 0.001


def test_id_of_a_place_is_the_same_everywhere():
    """
    Kind and signature make the id, and the parts of a signature do not run together.
    """
    assert suspect_id("listener", ("a", "b")) == suspect_id("listener", ("a", "b"))
    assert suspect_id("listener", ("ab",)) != suspect_id("listener", ("a", "b"))
    assert suspect_id("listener", ("a",)) != suspect_id("retained_request", ("a",))
    assert len(suspect_id("listener", ())) == 10

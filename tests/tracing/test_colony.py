"""Canaries that live on are found, those that die leave nothing, and their number is bounded."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakguard import LeakGuard
from leakguard.core.registry import RouteRecord

from ..exchanges import http_scope


class Requests:
    """Open and close requests by hand, and keep what a leak would keep."""

    def __init__(self, **settings):
        self.guard = LeakGuard(monitor=False, **settings)
        self.tracer = self.guard.tracer
        self.record = RouteRecord("GET", "/")

    def open(self):
        scope = http_scope()
        return scope, self.tracer.open(scope)

    def serve(self, keep=()):
        """Serve one request, and return those of its parts that are to be kept."""
        scope, trace = self.open()
        self.tracer.close(trace, self.record)
        parts = {"scope": scope, "context": trace}
        return [parts[name] for name in keep]

    @property
    def survivors(self):
        return self.tracer.colony.survivors()


@pytest.fixture
def served():
    return Requests()


def test_request_that_nobody_keeps_leaves_no_survivor(served):
    """
    Canaries die with their requests, at once.
    """
    for _ in range(10):
        served.serve()

    assert served.survivors == []


@pytest.mark.parametrize("keep", [["scope"], ["context"], ["scope", "context"]])
def test_kept_request_is_one_survivor(served, keep):
    """
    A request that is kept, by its scope, its context or both, survives once, with its route.
    """
    kept = served.serve(keep)

    (survivor,) = served.survivors
    assert survivor.record is served.record
    assert len(survivor.canaries) == len(keep)
    del kept, survivor
    assert served.survivors == []


def test_request_under_way_is_no_survivor(served):
    """
    A request counts as a survivor only when it is over.
    """
    scope, trace = served.open()

    assert served.survivors == []
    assert served.tracer.colony.under_way() == [trace]
    served.tracer.close(trace, served.record)
    assert served.tracer.colony.under_way() == []
    assert len(served.survivors) == 1
    assert scope


def test_survivors_are_the_oldest_first(served):
    """
    Survivors come in the order of their requests.
    """
    kept = [served.serve(["scope"]) for _ in range(600)]

    serials = [survivor.serial for survivor in served.survivors]

    assert serials == sorted(serials)
    assert len(serials) == len(kept) == 600


def test_survivors_that_are_forgotten_stay_so(served):
    """
    What is followed no longer does not come back with further traffic.
    """
    kept = [served.serve(["scope"]) for _ in range(600)]
    oldest = {survivor.serial for survivor in served.survivors[:100]}

    served.tracer.colony.forget(oldest)
    for _ in range(600):
        served.serve()

    assert len(kept) == 600
    assert len(served.survivors) == 500
    assert not oldest & {survivor.serial for survivor in served.survivors}


def test_newest_survivors_can_be_forgotten_too(served):
    """
    A survivor is forgotten wherever its canaries wait.
    """
    kept = [served.serve(["scope", "context"]) for _ in range(10)]
    newest = {survivor.serial for survivor in served.survivors[5:]}

    served.tracer.colony.forget(newest)

    assert len(kept) == 10
    assert len(served.survivors) == 5


def test_room_of_the_dead_is_used_again():
    """
    Survivors that died meanwhile make room for new ones, so that none is missed.
    """
    served = Requests(max_survivors=10)
    kept = [served.serve(["scope"]) for _ in range(266)]
    for _ in range(256):
        kept.append(served.serve(["scope"]))
        del kept[0]

    kept.clear()
    kept = [served.serve(["scope"]) for _ in range(256)]
    for _ in range(5):
        kept.append(served.serve(["scope"]))

    assert len(served.survivors) == 261


@settings(deadline=None)
@given(
    plan=st.lists(st.sampled_from([(), ("scope",), ("context",), ("scope", "context")])),
    idle=st.integers(0, 600),
)
def test_survivors_are_those_that_are_kept(plan, idle):
    """
    Whatever is kept, and however much traffic comes after it, the survivors are exactly that.
    """
    served = Requests()
    kept = [served.serve(keep) for keep in plan]
    for _ in range(idle):
        served.serve()

    canaries = [len(survivor.canaries) for survivor in served.survivors]

    assert canaries == [len(each) for each in kept if each]


@settings(deadline=None)
@given(bound=st.integers(1, 50), count=st.integers(0, 600))
def test_number_of_followed_canaries_is_bounded(bound, count):
    """
    Beyond the bound canaries are not followed, and counted as missed.
    """
    served = Requests(max_survivors=bound)
    kept = [served.serve(["scope"]) for _ in range(count)]

    found, missed = len(served.survivors), served.tracer.colony.missed

    assert len(kept) == count
    assert found + missed == count
    assert found <= bound + 256


def test_cyclic_garbage_is_a_survivor_until_it_is_collected(served):
    """
    A request in a cycle lives on until the collector comes.
    """
    gc.disable()
    (scope,) = served.serve(["scope"])
    scope["self"] = scope
    del scope
    before = len(served.survivors)

    gc.collect()

    assert before == 1
    assert served.survivors == []

"""What the tests of the instrumentation share."""

from contextlib import contextmanager

import pytest

from leakguard.core.registry import RouteRecord
from leakguard.core.trace import CURRENT, OpenTrace
from leakguard.instrumentation.ledger import Ledger

OWNER = object()


@pytest.fixture
def owner():
    """Return what stands for the guard in its traces."""
    return OWNER


@pytest.fixture
def ledger(faults):
    """Return a ledger with room for much."""
    return Ledger(owner=OWNER, max_registrations=1000, max_listeners=10, faults=faults)


class Request:
    """A request under way, and the record of its route."""

    def __init__(self, route):
        self.record = RouteRecord("GET", route)
        self.trace = OpenTrace()
        self.trace.owner = OWNER

    def close(self):
        """End the request as the tracer does."""
        self.trace.record = self.record
        for registration in self.trace.registrations or ():
            registration.record = self.record
        self.trace.registrations = None

    @contextmanager
    def under_way(self):
        token = CURRENT.set(self.trace)
        yield self.trace
        CURRENT.reset(token)
        self.close()


@pytest.fixture
def request_to():
    """Return a function that makes a request to a route."""
    return Request

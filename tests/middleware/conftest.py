"""What the tests of the middleware share."""

import gc

import pytest

from leakguard import LeakGuard


@pytest.fixture
def guard():
    """Return a guard that takes no passes by itself."""
    guard = LeakGuard(monitor=False)
    yield guard
    guard.close()


@pytest.fixture
def no_gc():
    """Keep the collector off, so that only what no cycle holds dies."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()

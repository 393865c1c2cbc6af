"""Fixtures that all tests share."""

import gc
import signal
import subprocess
import sys
from types import ModuleType

import pytest
from hypothesis import settings

from leakguard.core.faults import Faults

from . import no_skip


def pytest_configure(config):
    """Let no test be skipped where that is asked for."""
    if no_skip.enabled():
        config.pluginmanager.register(no_skip)


# Machines are slow now and then: no test depends on how long something takes.
settings.register_profile("leakguard", deadline=None)
settings.load_profile("leakguard")


@pytest.fixture(autouse=True)
def clean_process():
    """Put back what is global in a process: collector, signals, and the libraries followed."""
    enabled, thresholds, callbacks = gc.isenabled(), gc.get_threshold(), gc.callbacks[:]
    interval_s = sys.getswitchinterval()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    (gc.enable if enabled else gc.disable)()
    sys.setswitchinterval(interval_s)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for name in ("blinker", "pyee"):
        instrumentor = getattr(
            sys.modules.get(f"leakguard.instrumentation.{name}"), "INSTRUMENTOR", None
        )
        for ledger in getattr(instrumentor, "ledgers", ()):
            instrumentor.uninstrument(ledger)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class RecordingLog:
    """A log that remembers what was said."""

    def __init__(self):
        self.lines = []

    def __call__(self, level, event, **keys):
        self.lines.append((level, event, keys))

    @property
    def events(self):
        return [event for _, event, _ in self.lines]


@pytest.fixture
def clock():
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def log():
    """Return a log whose lines the test can read."""
    return RecordingLog()


@pytest.fixture
def faults(log):
    """Return the counter of leakguard's own errors."""
    return Faults(max_errors=5, log=log)


@pytest.fixture
def shop():
    """Return a module of a service, imported as `shop` for the length of a test."""
    module = ModuleType("shop")
    module.__file__ = "/srv/shop.py"
    sys.modules["shop"] = module
    yield module
    del sys.modules["shop"]


@pytest.fixture
def script():
    """Return a function that runs Python code in a process of its own and returns its output."""

    def run(source, *arguments):
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", source, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run

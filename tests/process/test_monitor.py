"""The thread that takes passes."""

import os
import threading

import pytest

from leakguard.process.monitor import Monitor


class Passes:
    """Count passes, and let the test wait for them."""

    def __init__(self, cpu_s=0.0):
        self.count = 0
        self.names = set()
        self.some = threading.Semaphore(0)
        self.cpu_s = cpu_s

    def __call__(self):
        self.count += 1
        self.names.add(threading.current_thread().name)
        self.some.release()
        return self.cpu_s


@pytest.fixture
def monitors():
    """Return a list whose monitors are stopped in the end."""
    made = []
    yield made
    for each in made:
        each.stop()


def test_passes_are_taken_in_a_thread_until_it_is_stopped(monitors):
    """
    A started monitor takes one pass after the other.
    """
    passes = Passes()
    monitor = Monitor(passes, interval_s=0.001, cpu_budget=1)
    monitors.append(monitor)
    before = monitor.running

    monitor.start()
    for _ in range(3):
        assert passes.some.acquire(timeout=60)
    during = monitor.running
    monitor.stop()

    assert (before, during, monitor.running) == (False, True, False)
    assert passes.names == {"leakguard-monitor"}


def test_starting_and_stopping_twice_is_harmless(monitors):
    """
    There is one thread, however often it is started.
    """
    monitor = Monitor(Passes(), interval_s=60, cpu_budget=1)
    monitors.append(monitor)

    monitor.start()
    monitor.start()
    threads = [each for each in threading.enumerate() if each.name == "leakguard-monitor"]
    monitor.stop()
    monitor.stop()

    assert len(threads) == 1
    assert threads[0].daemon
    assert not threads[0].is_alive()


def test_stopped_monitor_can_be_started_again(monitors):
    """
    A server that serves again after its shutdown is watched again.
    """
    passes = Passes()
    monitor = Monitor(passes, interval_s=0.001, cpu_budget=1)
    monitors.append(monitor)
    monitor.start()
    monitor.stop()

    monitor.start()

    assert monitor.running
    assert passes.some.acquire(timeout=60)


def test_monitor_that_was_never_started_can_be_stopped():
    """
    Closing a guard that never served is harmless.
    """
    monitor = Monitor(Passes(), interval_s=60, cpu_budget=1)

    monitor.stop()

    assert not monitor.running


def test_pass_may_stop_its_own_monitor(monitors):
    """
    A thread does not wait for itself.
    """
    stopped = threading.Event()

    def run():
        monitors[0].stop()
        stopped.set()
        return 0.0

    monitors.append(Monitor(run, interval_s=0.001, cpu_budget=1))
    monitors[0].start()

    assert stopped.wait(60)
    assert not monitors[0].running


def test_costly_pass_is_followed_by_a_pause_within_the_budget():
    """
    The pause is the interval, or longer by as much as the pass cost of the budget.
    """
    pauses = []

    class Ends:
        def wait(self, pause_s):
            pauses.append(pause_s)
            return len(pauses) > 2

    costs = iter([0.001, 5.0])
    monitor = Monitor(lambda: next(costs), interval_s=30, cpu_budget=0.01)

    monitor._loop(Ends())

    assert pauses == [30, 30, 500]


def test_forked_child_has_no_monitor_until_it_starts_one(monitors):
    """
    A thread does not survive a fork; the child's first request starts its own.
    """
    passes = Passes()
    monitor = Monitor(passes, interval_s=0.001, cpu_budget=1)
    monitors.append(monitor)
    monitor.start()

    child = os.fork()
    if child == 0:
        before = monitor.running
        monitor.start()
        took = passes.some.acquire(timeout=60)
        os._exit(7 if (before, monitor.running, took) == (False, True, True) else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert monitor.running


def test_child_that_stops_an_inherited_monitor_does_not_wait(monitors):
    """
    The parent's thread is not there to be waited for.
    """
    monitor = Monitor(Passes(), interval_s=60, cpu_budget=1)
    monitors.append(monitor)
    monitor.start()

    child = os.fork()
    if child == 0:
        monitor.stop()
        os._exit(7)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert monitor.running

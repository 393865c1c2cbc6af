"""Cheap counters."""

import gc

import pytest

from leakguard.tracing.gauges import AllocationGauge, BlockSampler


@pytest.fixture
def gauge():
    gauge = AllocationGauge()
    yield gauge
    gauge.stop()


def test_gauge_reads_on_over_a_collection(gauge):
    """
    The reading does not fall when the collector sets its counter back.
    """
    gauge.start()
    gc.collect()
    kept = [[] for _ in range(100)]
    before = gauge.base + gc.get_count()[0]
    collections = gauge.collections

    gc.collect()

    assert len(kept) == 100
    assert gauge.collections == collections + 1
    assert gauge.base + gc.get_count()[0] >= before


def test_gauge_started_twice_follows_once_and_leaves_nothing(gauge):
    """
    Start and stop are idempotent, and stop leaves `gc.callbacks` as it was.
    """
    before = list(gc.callbacks)

    gauge.start()
    gauge.start()
    during = list(gc.callbacks)
    gauge.stop()
    gauge.stop()

    assert len(during) == len(before) + 1
    assert gc.callbacks == before


def test_sampler_pauses_by_what_a_reading_cost(monkeypatch):
    """
    A reading of 1 ms with a budget of 0.1 ms a request is followed by a pause of 20 requests.
    """
    times = iter([0.0, 0.001])
    monkeypatch.setattr("leakguard.tracing.gauges.perf_counter", lambda: next(times))
    sampler = BlockSampler(budget_s=0.0001)
    at_first = sampler.left

    blocks = sampler.read()

    assert at_first == 1
    assert blocks > 0
    assert sampler.left == 21

"""Counts against requests, and whether they keep growing."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leakguard.detection.series import CONFIRM_WINDOWS, MAX_WINDOWS, SUSPECT_WINDOWS, Series


def states_of(counts, requests=10):
    """Return the state after each window of as many requests, and the series."""
    series, found = Series(0, 0), []
    for number, count in enumerate(counts, 1):
        series.add(number * requests, count)
        found.append(series.state)
    return found, series


def test_steady_growth_is_suspected_then_confirmed():
    """
    Growth is a suspect after two windows and confirmed after four.
    """
    states, series = states_of([5, 10, 15, 20, 25])

    assert states == ["quiet", "suspect", "suspect", "confirmed", "confirmed"]
    assert (SUSPECT_WINDOWS, CONFIRM_WINDOWS) == (2, 4)
    assert series.rate == 0.5


@given(
    rate=st.integers(1, 1000),
    requests=st.integers(1, 1000),
    windows=st.integers(CONFIRM_WINDOWS, 60),
    start=st.integers(0, 50),
)
def test_steady_growth_of_any_rate_is_confirmed_and_stays(rate, requests, windows, start):
    """
    One more a window is enough, whatever the traffic, and however long it goes on.
    """
    series = Series(7, start)
    states = []

    for number in range(1, windows + 1):
        series.add(7 + number * requests, start + number * rate)
        states.append(series.state)

    assert set(states[CONFIRM_WINDOWS - 1 :]) == {"confirmed"}
    assert "confirmed" not in states[: CONFIRM_WINDOWS - 1]


@given(
    st.lists(st.integers(1, 500), min_size=CONFIRM_WINDOWS, max_size=60),
    st.integers(1, 5),
)
def test_growth_with_uneven_traffic_is_confirmed(windows, rate):
    """
    The same growth for each request is confirmed, however the requests fall into windows.
    """
    series, requests = Series(0, 0), 0

    for window in windows:
        requests += window
        series.add(requests, requests * rate)

    assert series.state == "confirmed"


@given(
    growth=st.lists(st.integers(0, 100), max_size=CONFIRM_WINDOWS - 1),
    flat=st.integers(1, 80),
)
def test_plateau_is_never_confirmed(growth, flat):
    """
    What fills up before it could be confirmed and then stops is no leak.
    """
    counts, level = [], 0
    for step in growth:
        level += step
        counts.append(level)

    states, _ = states_of(counts + [level] * flat)

    assert "confirmed" not in states


@given(
    teeth=st.lists(
        st.lists(st.integers(1, 100), min_size=1, max_size=CONFIRM_WINDOWS - 1), max_size=30
    ),
    floor=st.integers(0, 50),
)
@example(teeth=[[12, 14], [1, 6, 2], [1, 12, 1], [1], [17], [19, 15, 7]], floor=0)
def test_sawtooth_is_never_confirmed(teeth, floor):
    """
    What is cleared again and again is no leak, however many windows are merged.
    """
    counts = []
    for tooth in teeth:
        level = floor
        for step in tooth:
            level += step
            counts.append(level)
        counts.append(floor)

    states, _ = states_of(counts)

    assert "confirmed" not in states


@given(
    first=st.integers(10, 10_000),
    ratio=st.floats(0.0, 0.69),
    windows=st.integers(5, 60),
)
def test_slowing_growth_is_never_confirmed(first, ratio, windows):
    """
    A filling cache, or tenants being discovered, grows ever less.
    """
    counts, level, step = [], 0, float(first)
    for _ in range(windows):
        level += int(step)
        counts.append(level)
        step *= ratio

    states, _ = states_of(counts)

    assert "confirmed" not in states


def test_a_few_things_are_nothing_to_warn_of():
    """
    A server with a few connections keeps as many requests.
    """
    states, _ = states_of([1, 2, 2, 2, 2, 2])

    assert states == ["quiet"] * 6


def test_time_without_traffic_is_no_window():
    """
    Only growth with traffic counts.
    """
    series = Series(0, 0)

    for count in range(20):
        series.add(10, count)

    assert series.state == "quiet"
    assert series.count == 19


def test_confirmed_leak_is_resolved_when_it_has_stopped_for_as_long():
    """
    Growth gone for as many requests as it took to confirm it is resolved.
    """
    states, _ = states_of([5, 10, 15, 20, 20, 20, 20, 20])

    assert states[3:] == ["confirmed", "confirmed", "confirmed", "confirmed", "resolved"]


def test_leak_of_which_nothing_is_left_is_resolved_at_once():
    """
    Once all is let go of there is nothing to wait for.
    """
    states, series = states_of([5, 10, 15, 20, 0])

    assert states[-1] == "resolved"
    assert series.rate == 0


def test_leak_of_which_nothing_is_left_is_resolved_without_traffic():
    """
    Nothing is nothing, whether requests come or not; what was no suspect stays quiet.
    """
    _, leaking = states_of([5, 10, 15, 20])
    _, quiet = states_of([5])

    leaking.add(40, 0)
    quiet.add(10, 0)

    assert leaking.state == "resolved"
    assert quiet.state == "quiet"


def test_suspect_that_stops_is_resolved():
    """
    A suspect that is not confirmed is given up after twice the time it grew.
    """
    states, _ = states_of([5, 10, 10, 10, 10, 10, 10])

    assert states == ["quiet", "suspect", "suspect", "suspect", "suspect", "resolved", "resolved"]


def test_leak_that_comes_back_is_suspected_again():
    """
    A resolved suspect that grows once more is no old story.
    """
    states, _ = states_of([5, 10, 15, 20, 0, 5, 10, 15, 20, 25])

    assert states[4] == "resolved"
    assert states[6] in ("suspect", "confirmed")
    assert states[-1] == "confirmed"


def test_series_without_requests_has_no_rate():
    """
    Nothing is known of a route before its first window.
    """
    assert Series(5, 3).rate == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000)), max_size=100))
def test_points_are_bounded(steps):
    """
    However long a series is followed, it holds a bounded number of points.
    """
    series, requests = Series(0, 0), 0

    for more, count in steps:
        requests += more
        series.add(requests, count)

    assert len(series.points) <= MAX_WINDOWS + 1
    assert series.points == sorted(series.points, key=lambda point: point[0])
    assert series.points[0] == (0, 0)


@pytest.mark.parametrize("windows", range(1, 40))
def test_rate_is_over_all_windows(windows):
    """
    The rate runs to the latest point, also where neighbours have just been merged.
    """
    _, series = states_of([number**2 for number in range(1, windows + 1)], requests=10)

    assert series.rate == windows**2 / (windows * 10)

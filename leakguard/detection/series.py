"""Counts against requests, and whether they keep growing."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from ..core.suspect import State

MAX_WINDOWS = 16
SUSPECT_WINDOWS = 2
CONFIRM_WINDOWS = 4
MIN_GROWTH = 3
"""Things fewer than which are nothing to warn of: a server with a few connections keeps as many."""
SLOWED = 0.5
"""A rate below this part of the rate so far is a filling cache or a key space being discovered."""


def _count(point: tuple[int, int]) -> int:
    return point[1]


@dataclass(slots=True)
class Series:
    """
    Judge whether a count keeps growing with the requests of a route.

    A window is the traffic between two points. Without traffic there is no window, so that only
    growth with traffic counts; that nothing is left is seen without it, too. When there are more
    than `MAX_WINDOWS`, neighbours are merged: a rare leak shows in few of many short windows, but
    in all long ones.

    It is `suspect` once the count grew in each of the last `SUSPECT_WINDOWS` windows, and
    `confirmed` once it did in the last `CONFIRM_WINDOWS`, by `MIN_GROWTH` in all, and the last
    two not slower than `SLOWED` times the rate before them. It is `resolved` when it has not
    grown for as many requests as it took to be confirmed, or nothing is left.
    """

    requests: int
    count: int
    state: State | Literal["quiet"] = "quiet"
    points: list[tuple[int, int]] = field(default_factory=list)
    peak: tuple[int, int] = (0, 0)
    took: int = 0

    def __post_init__(self) -> None:
        self.points.append((self.requests, self.count))
        self.peak = (self.requests, self.count)

    def add(self, requests: int, count: int) -> None:
        """Add a point: the route's requests so far, and what is there now."""
        self.requests, self.count = requests, count
        if requests == self.points[-1][0]:
            if not count and self.state in ("suspect", "confirmed"):
                self.state = "resolved"
            return
        self.points.append((requests, count))
        if len(self.points) > MAX_WINDOWS + 1:
            first, *between, last = self.points
            # Of two points the lower one stays, so that what fell in between is not forgotten.
            pairs = zip(between[::2], between[1::2], strict=True)
            self.points = [first, *(min(pair, key=_count) for pair in pairs), last]
        if count > self.peak[1]:
            self.peak = (requests, count)
        self.state = self._judged()

    @property
    def rate(self) -> float:
        """Return what one request adds, over all windows."""
        (first, start), (last, end) = self.points[0], self.points[-1]
        return (end - start) / (last - first) if last > first else 0.0

    def _judged(self) -> State | Literal["quiet"]:
        if self.state in ("suspect", "confirmed") and self._stopped():
            return "resolved"
        if self.state == "confirmed":
            return "confirmed"
        if self._grew(CONFIRM_WINDOWS) and self._goes_on():
            self.took = self.points[-1][0] - self.points[0][0]
            return "confirmed"
        if self.state == "suspect":
            return "suspect"
        return "suspect" if self._grew(SUSPECT_WINDOWS) else self.state

    def _grew(self, windows: int) -> bool:
        last = self.points[-windows - 1 :]
        rising = all(late[1] > early[1] for early, late in pairwise(last))
        return len(last) > windows and rising and last[-1][1] - last[0][1] >= MIN_GROWTH

    def _goes_on(self) -> bool:
        """Tell whether the last two windows grew about as fast as those before them."""
        (first, start), (middle, between), (last, end) = (
            self.points[0], self.points[-3], self.points[-1],
        )  # fmt: skip
        before, after = (between - start) / (middle - first), (end - between) / (last - middle)
        return after >= SLOWED * before

    def _stopped(self) -> bool:
        since_peak = self.requests - self.peak[0]
        needed = self.took or 2 * (self.peak[0] - self.points[0][0])
        return self.count == 0 or since_peak >= max(needed, 1)

"""Counters that are cheap enough to be read around every step of a request."""

import gc
import sys
from time import perf_counter


class AllocationGauge:
    """
    Read the net number of GC-tracked objects allocated so far, at 0.05 us a reading.

    The sum of `base` and `gc.get_count()[0]` is the reading. CPython sets that counter back to
    zero at each collection and never lets it fall below; the first is made good by a callback,
    the second cannot be, so a reader also compares `collections` and mistrusts a zero.
    """

    def __init__(self) -> None:
        self.base = 0
        self.collections = 0

    def start(self) -> None:
        """Follow the collector. Calling it twice is harmless."""
        if self._on_collection not in gc.callbacks:
            gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        """Leave the collector as it was before `start`."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self.base += gc.get_count()[0]
            self.collections += 1


class BlockSampler:
    """
    Choose the requests whose memory blocks are counted, so that a request pays little on average.

    `sys.getallocatedblocks` is exact but takes 0.4 us on a small heap and above 100 us on a large
    one, so the rarer it is read, the slower it is.

    Args:
        budget_s: What all requests together may pay for it, on average, each.
    """

    def __init__(self, *, budget_s: float = 0.2e-6) -> None:
        self._budget_s = budget_s
        self.left = 1
        """Requests until the next sample; whoever opens one counts it down."""

    def read(self) -> int:
        """Return the allocated blocks, and put the next sample off by what this one cost."""
        begun = perf_counter()
        blocks = sys.getallocatedblocks()
        self.left = int((perf_counter() - begun) * 2 / self._budget_s) + 1
        return blocks

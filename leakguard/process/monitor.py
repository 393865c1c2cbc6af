"""The thread that takes passes by itself."""

import os
import threading
from collections.abc import Callable

_JOIN_S = 0.5


class Monitor:
    """
    Call a function again and again, in a thread, within a share of wall time.

    Args:
        run: Does one pass and returns the CPU seconds that it took; never raises.
        interval_s: Shortest time between two passes.
        cpu_budget: Share of wall time that passes may cost: one that took long is followed by a
            pause that is longer by as much.
    """

    def __init__(self, run: Callable[[], float], *, interval_s: float, cpu_budget: float) -> None:
        self._run = run
        self._interval_s = interval_s
        self._cpu_budget = cpu_budget
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    @property
    def running(self) -> bool:
        """Tell whether the thread lives, in this process."""
        return self._thread is not None and self._pid == os.getpid() and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread in this process. Calling it twice is harmless, after a fork right."""
        if self.running:
            return
        self._ends = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=self._loop, args=(self._ends,), name="leakguard-monitor", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a pass under way ends by itself, soon after. Twice is harmless."""
        self._ends.set()
        thread, self._thread = self._thread, None
        ours = thread is not None and self._pid == os.getpid()
        if thread is not None and ours and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def _loop(self, ends: threading.Event) -> None:
        pause_s = self._interval_s
        while not ends.wait(pause_s):
            pause_s = max(self._interval_s, self._run() / self._cpu_budget)

"""What the services under test keep things in, and how their responses are built."""

import itertools
import os
from collections.abc import Callable
from typing import Any

LIST_BODY = [b"all ", b"of ", b"it"]
CHUNKS = [b"one\n", b"two\n", b"three\n"]
ETAG = '"fixed"'
FILE = os.path.join(os.path.dirname(__file__), "served.txt")
GUARDED = os.environ.get("SERVE_BARE") != "1"
# What makes a walk take its time, where a test wants one that does.
BALLAST = [[number] for number in range(int(os.environ.get("SERVE_BALLAST", "0")))]


class Hub:
    """Hold what requests put here until it is taken out again."""

    def __init__(self) -> None:
        self.requests: dict[int, Any] = {}
        self.streams: dict[int, Any] = {}
        self.callbacks: list[Callable[[], Any]] = []
        self.done: list[Any] = []
        self._numbers = itertools.count()

    def keep(self, request: Any) -> int:
        """Keep *request* under a new number."""
        number = next(self._numbers)
        self.requests[number] = request
        return number

    def open_stream(self, request: Any) -> int:
        """Keep the *request* of a stream under a new number."""
        number = next(self._numbers)
        self.streams[number] = request
        return number

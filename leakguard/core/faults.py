"""leakguard's own errors: counted, said once, and the part that fails switched off."""

from collections import Counter

from ..types import Log
from .fork import give_lock


class Faults:
    """
    Count the errors of each part, and tell which parts are switched off.

    Args:
        max_errors: Errors of one part before it is switched off.
        log: Says `part_failed` once for each kind of error, and `part_switched_off`.
    """

    def __init__(self, *, max_errors: int, log: Log) -> None:
        self._max_errors = max_errors
        self._log = log
        self._lock = give_lock(self)
        self._counts: Counter[str] = Counter()
        self._said: set[tuple[str, str]] = set()
        self.off: set[str] = set()

    def count(self, part: str, error: BaseException) -> None:
        """Record that *part* failed with *error*; never raises."""
        kind = (part, type(error).__name__)
        with self._lock:
            self._counts[part] += 1
            new = kind not in self._said
            self._said.add(kind)
            ends = self._counts[part] >= self._max_errors and part not in self.off
            if ends:
                self.off.add(part)
        if new:
            self._log("error", "part_failed", part=part, error=kind[1], site=_site_of(error))
        if ends:
            self._log("error", "part_switched_off", part=part, errors=self._counts[part],
                      error=kind[1])  # fmt: skip

    def counts(self) -> dict[str, int]:
        """Return the number of errors by part."""
        with self._lock:
            return dict(self._counts)


def _site_of(error: BaseException) -> str | None:
    """Return where *error* was raised. Its message stays out: it may have contents in it."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{code.co_filename}:{trace.tb_lineno} in {code.co_qualname}"

"""What a forked child must not inherit as it is."""

import os
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_renewals: "WeakKeyDictionary[Any, Callable[[Any], None]]" = WeakKeyDictionary()
_hooked = False


def renew_after_fork(holder: Any, renew: Callable[[Any], None]) -> None:
    """Call `renew(holder)` in every forked child for as long as *holder* lives."""
    global _hooked
    if not _hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_renew)
        _hooked = True
    _renewals[holder] = renew


def give_lock(holder: Any) -> threading.Lock:
    """
    Return a lock for `holder._lock`, which every forked child renews.

    A thread may hold it at the moment of the fork; in the child that thread is not there to let
    it go.
    """
    renew_after_fork(holder, _renew_lock)
    return threading.Lock()


def _renew_lock(holder: Any) -> None:
    holder._lock = threading.Lock()


def _renew() -> None:
    for holder, renew in list(_renewals.items()):
        renew(holder)

"""Locks that a forked child does not inherit in a locked state."""

import os
import threading
from typing import Any
from weakref import WeakSet

_holders: WeakSet[Any] = WeakSet()
_hooked = False


def give_lock(holder: Any) -> threading.Lock:
    """
    Return a lock for `holder._lock`, which every forked child renews.

    A thread may hold it at the moment of the fork; in the child that thread is not there to let
    it go.
    """
    global _hooked
    if not _hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_renew)
        _hooked = True
    _holders.add(holder)
    return threading.Lock()


def _renew() -> None:
    for holder in list(_holders):
        holder._lock = threading.Lock()

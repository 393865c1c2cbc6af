"""Locks and state that forked children renew."""

import gc
import os
import weakref

from leakguard.core import fork
from leakguard.core.fork import give_lock, renew_after_fork


class Holder:
    def __init__(self):
        self._lock = give_lock(self)


def test_lock_is_free_in_a_forked_child():
    """
    A lock that a thread holds at the fork is a new one in the child.
    """
    holder = Holder()

    with holder._lock:
        child = os.fork()
        if child == 0:
            os._exit(7 if holder._lock.acquire(blocking=False) else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7


def test_renewal_gives_every_living_holder_a_new_lock():
    """
    What runs in the child replaces each holder's lock.
    """
    holder = Holder()
    before = holder._lock

    fork._renew()

    assert holder._lock is not before
    assert not holder._lock.locked()


def test_holder_with_a_renewal_of_its_own_is_renewed():
    """
    Any holder may say how it is renewed.
    """
    holder, renewed = Holder(), []
    renew_after_fork(holder, renewed.append)

    fork._renew()

    assert renewed == [holder]


def test_hook_is_registered_once(monkeypatch):
    """
    However many holders there are, the process gets one hook: it cannot be taken off again.
    """
    hooks = []
    monkeypatch.setattr(fork, "_hooked", False)
    monkeypatch.setattr(os, "register_at_fork", lambda **hook: hooks.append(hook))

    kept = [Holder(), Holder()]

    assert len(kept) == 2
    assert hooks == [{"after_in_child": fork._renew}]


def test_holder_is_not_kept():
    """
    A holder dies with its last user.
    """
    holder = Holder()
    seen = weakref.ref(holder)

    del holder
    gc.collect()

    assert seen() is None

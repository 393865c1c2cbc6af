"""Put a function in the place of another one, and put the original back exactly."""

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from .ledger import Ledger

_MISSING = object()


class Patch:
    """
    Replace attributes of an owner (a class, a module, an instance), and restore them.

    A replacement that somebody else has wrapped meanwhile stays where it is, and passes through.
    """

    def __init__(self) -> None:
        # The owner is held weakly: watching an object must not keep it.
        self._replaced: list[tuple[weakref.ref[Any], str, Any, Any]] = []

    def replace(
        self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        """Replace `owner.name` by what *make* builds around it, with its name and signature."""
        original = getattr(owner, name)
        own = vars(owner).get(name, _MISSING)
        replacement = wraps(original)(make(original))
        setattr(owner, name, replacement)
        self._replaced.append((weakref.ref(owner), name, own, weakref.ref(replacement)))

    def restore(self) -> None:
        """Put all originals back. Calling it twice is harmless."""
        while self._replaced:
            owner_ref, name, own, replacement_ref = self._replaced.pop()
            owner, replacement = owner_ref(), replacement_ref()
            ours = owner is not None and replacement is not None
            if ours and vars(owner).get(name) is replacement:
                if own is _MISSING:
                    delattr(owner, name)
                else:
                    setattr(owner, name, own)


class Instrumentor:
    """
    Follow the listeners of one library for any number of guards.

    A subclass names the library and replaces its functions in `_patch`; each replacement calls
    the original and then tells every ledger in `self.ledgers`. The first ledger to attach
    replaces, the last to detach restores.
    """

    library: str
    """Top-level package of the library."""

    def __init__(self) -> None:
        # Weakly: a guard that is dropped without being closed is not to live on here.
        self._refs: tuple[weakref.ref[Ledger], ...] = ()
        self._patches = Patch()

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """Return the ledgers to tell."""
        return tuple(ledger for each in self._refs if (ledger := each()) is not None)

    def instrument(self, ledger: Ledger) -> None:
        """Tell *ledger* of registrations from now on. Calling it twice is harmless."""
        known = self.ledgers
        if ledger in known:
            return
        if not self._refs:
            self._patch(self._patches)
        self._refs = tuple(weakref.ref(each) for each in (*known, ledger))

    def uninstrument(self, ledger: Ledger) -> None:
        """Tell *ledger* no more. Calling it twice is harmless."""
        left = [each for each in self.ledgers if each is not ledger]
        self._refs = tuple(map(weakref.ref, left))
        if not left:
            self._patches.restore()

    def _patch(self, patches: Patch) -> None:
        raise NotImplementedError

"""Follow the listeners of any object that has a method to add and one to remove them."""

import weakref
from collections.abc import Callable
from typing import Any

from ..exceptions import WatchError
from .ledger import ALL, Ledger
from .patch import Patch

_MARK = "leakguard_ledger"


class Watch:
    """
    Follow calls of two methods of *watched*, an instance, a class or a module.

    The listener is the first callable argument; a text before it is the event. What `add`
    returned, a token say, is taken by `remove` in its place, too.

    Args:
        watched: Its methods are replaced on it alone; needs a `__dict__` and weak references.
        add: Name of the method that registers.
        remove: Name of the method that takes off.
        ledger: Gets the registrations.

    Raises:
        WatchError: *watched* has no such methods, or they cannot be replaced.
    """

    def __init__(self, watched: Any, *, add: str, remove: str, ledger: Ledger) -> None:
        self._ledger = ledger
        self._patches = Patch()
        self._kind = watched if isinstance(watched, type) else None
        kind = (self._kind or type(watched)).__qualname__
        for name in (add, remove):
            if not callable(getattr(watched, name, None)):
                raise WatchError(f"watch needs a method named {name!r}, {kind} has none")
        if getattr(getattr(watched, add), _MARK, None) is ledger:
            return
        try:
            self._watched = weakref.ref(watched)
            self._patches.replace(watched, add, self._adding)
            self._patches.replace(watched, remove, self._removing)
        except (TypeError, AttributeError):
            self._patches.restore()
            raise WatchError(
                "watch needs an object that can be referred to weakly and given attributes, "
                f"{kind} cannot: watch its class instead"
            ) from None

    def end(self) -> None:
        """Put the original methods back. Calling it twice is harmless."""
        self._patches.restore()

    def _adding(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def add(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            emitter, given = self._parted(args)
            listener = next(filter(callable, (*given, *kwargs.values())), None)
            if listener is not None:
                event = given[0] if given and type(given[0]) is str else ""
                self._ledger.added(emitter, event, listener, library="", token=result)
            return result

        setattr(add, _MARK, self._ledger)
        return add

    def _removing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def remove(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            emitter, given = self._parted(args)
            for each in (*given, *kwargs.values()):
                self._ledger.removed(emitter, ALL, each)
            if not given and not kwargs:
                self._ledger.cleared(emitter)
            return result

        return remove

    def _parted(self, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Part the emitter from the arguments: of a watched class it is the first of them."""
        if self._kind is not None and args and isinstance(args[0], self._kind):
            return args[0], args[1:]
        return self._watched(), args

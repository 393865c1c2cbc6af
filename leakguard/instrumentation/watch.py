"""Follow the listeners of any object that has a method to add and one to remove them."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any

from ..exceptions import WatchError
from .ledger import ALL, Ledger
from .patch import Patch


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
        kind = type(watched).__qualname__
        for name in (add, remove):
            if not callable(getattr(watched, name, None)):
                raise WatchError(f"watch needs a method named {name!r}, {kind} has none")
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
            listener = next(filter(callable, (*args, *kwargs.values())), None)
            if listener is not None:
                key = None if result is None or result is listener else _token(result)
                self._ledger.added(self._watched(), _event(args), listener, library="", key=key)
            return result

        return add

    def _removing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def remove(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            given = (*args, *kwargs.values())
            for each in given:
                self._ledger.removed(self._watched(), ALL, each)
                self._ledger.removed(self._watched(), ALL, each, key=_token(each))
            if not given:
                self._ledger.cleared(self._watched())
            return result

        return remove


def _event(args: tuple[Any, ...]) -> str:
    """Return the text before the listener, which names the event in most libraries."""
    return args[0] if args and type(args[0]) is str else ""


def _token(result: Any) -> Hashable:
    return ("token", result if type(result) in (int, str) else id(result))

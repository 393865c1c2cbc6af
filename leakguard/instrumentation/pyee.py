"""Follow the listeners of pyee's event emitters."""

from collections.abc import Callable
from typing import Any

from pyee.base import EventEmitter

from .ledger import ALL
from .patch import Instrumentor, Patch


class PyeeInstrumentor(Instrumentor):
    """
    Follow `on`, `once`, `add_listener` and their removals on every `EventEmitter`.

    All of them end in two methods of the base class, which are replaced, so that the classes for
    asyncio, trio, executors and Twisted are followed, too.
    """

    library = "pyee"

    def _patch(self, patches: Patch) -> None:
        patches.replace(EventEmitter, "_add_event_handler", self._adding)
        patches.replace(EventEmitter, "_remove_listener", self._removing)
        patches.replace(EventEmitter, "remove_all_listeners", self._clearing)

    def _adding(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _add_event_handler(emitter: Any, event: str, k: Any, v: Any) -> Any:
            result = original(emitter, event, k, v)
            for ledger in self.ledgers:
                ledger.added(emitter, event, k, library=self.library)
            return result

        return _add_event_handler

    def _removing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _remove_listener(emitter: Any, event: str, f: Any) -> Any:
            result = original(emitter, event, f)
            for ledger in self.ledgers:
                ledger.removed(emitter, event, f)
            return result

        return _remove_listener

    def _clearing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def remove_all_listeners(emitter: Any, event: str | None = None) -> Any:
            result = original(emitter, event)
            for ledger in self.ledgers:
                ledger.cleared(emitter, ALL if event is None else event)
            return result

        return remove_all_listeners


INSTRUMENTOR = PyeeInstrumentor()

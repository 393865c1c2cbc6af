"""Follow the receivers of blinker's signals."""

from collections.abc import Callable
from typing import Any

from blinker import ANY, Signal

from .ledger import ALL
from .patch import Instrumentor, Patch


class BlinkerInstrumentor(Instrumentor):
    """
    Follow `connect` and `disconnect` of every `Signal`, and what is built on them.

    A receiver counts once for a signal, however many senders it is connected for; it ends with
    the last of them, or by itself where the signal holds it weakly.
    """

    library = "blinker"

    def _patch(self, patches: Patch) -> None:
        patches.replace(Signal, "connect", self._connecting)
        patches.replace(Signal, "disconnect", self._disconnecting)
        patches.replace(Signal, "_clear_state", self._clearing)

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(signal: Any, receiver: Any, sender: Any = ANY, weak: bool = True) -> Any:
            result = original(signal, receiver, sender, weak)
            for ledger in self.ledgers:
                ledger.added(signal, _name(signal), receiver, library=self.library, weak=weak,
                             part=_part(sender))  # fmt: skip
            return result

        return connect

    def _disconnecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def disconnect(signal: Any, receiver: Any, sender: Any = ANY) -> Any:
            result = original(signal, receiver, sender)
            for ledger in self.ledgers:
                ledger.removed(signal, _name(signal), receiver, part=_part(sender))
            return result

        return disconnect

    def _clearing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _clear_state(signal: Any) -> Any:
            result = original(signal)
            for ledger in self.ledgers:
                ledger.cleared(signal)
            return result

        return _clear_state


def _name(signal: Any) -> str:
    return getattr(signal, "name", "")


def _part(sender: Any) -> Any:
    """Tell senders apart as blinker does: texts and numbers by value, others by identity."""
    if sender is ANY:
        return ALL
    return sender if type(sender) in (str, int) else id(sender)


INSTRUMENTOR = BlinkerInstrumentor()

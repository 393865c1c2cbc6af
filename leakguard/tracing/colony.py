"""The canaries that are still alive, held weakly."""

from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from ..core.registry import RouteRecord
from ..core.trace import Canary, OpenTrace

RING = 256
"""Requests whose canaries wait in the ring; a power of two."""

AnyCanary = Canary | OpenTrace
_NO_TRACE = ref(OpenTrace())
_NO_CANARY = ref(Canary())


@dataclass(slots=True)
class Survivor:
    """A request that is over and still held: its route, and those of its canaries that live."""

    record: RouteRecord
    serial: int
    canaries: list[AnyCanary] = field(default_factory=list)


class Colony:
    """
    Follow canaries for as long as they live.

    The weak references to a new request's pair of canaries take the places, in two rings, of those
    of `RING` requests before. Only if that pair has not died meanwhile, as nearly all do, is it
    moved to the kept ones, by `keep`. So a request pays for two weak references and two looks, and
    for no callback. `Tracer.open` does this in place; a call would cost a request more.

    Args:
        max_canaries: Canaries kept at a time, beyond those in the ring.
    """

    def __init__(self, *, max_canaries: int) -> None:
        self._max_canaries = max_canaries
        self.contexts: list[ref[OpenTrace]] = [_NO_TRACE] * RING
        self.scopes: list[ref[Canary]] = [_NO_CANARY] * RING
        self._kept: set[ref[AnyCanary]] = set()
        self.missed = 0
        """Living canaries that found no room, and are followed no longer."""

    def keep(self, each: "ref[Canary] | ref[OpenTrace]") -> None:
        """Follow a canary that still lives when its place in the ring is taken."""
        if len(self._kept) >= self._max_canaries:
            self._drop_dead()
        if len(self._kept) < self._max_canaries:
            self._kept.add(each)  # type: ignore[arg-type]
        else:
            self.missed += 1

    def survivors(self) -> list[Survivor]:
        """
        Return the requests that are over but whose canaries live, the oldest first.

        The answer holds its canaries strongly: let go of it soon.
        """
        found: dict[int, Survivor] = {}
        for canary in self._living():
            if canary.record is not None:
                survivor = found.get(canary.serial)
                if survivor is None:
                    survivor = found[canary.serial] = Survivor(canary.record, canary.serial)
                survivor.canaries.append(canary)
        return [found[serial] for serial in sorted(found)]

    def under_way(self) -> list[OpenTrace]:
        """Return the traces of the requests in flight."""
        return [
            canary
            for canary in self._living()
            if canary.record is None and isinstance(canary, OpenTrace)
        ]

    def forget(self, serials: set[int]) -> None:
        """Follow the canaries of these requests no longer."""
        for each in self._kept.copy():
            canary = each()
            if canary is None or canary.serial in serials:
                self._kept.discard(each)
        for serial in serials:
            place = serial & (RING - 1)
            trace, other = self.contexts[place](), self.scopes[place]()
            if trace is not None and trace.serial == serial:
                self.contexts[place] = _NO_TRACE
            if other is not None and other.serial == serial:
                self.scopes[place] = _NO_CANARY

    def _drop_dead(self) -> None:
        for each in self._kept.copy():
            if each() is None:
                self._kept.discard(each)

    def _living(self) -> list[AnyCanary]:
        self._drop_dead()
        # list and set copies are one C call each: requests on other threads cannot disturb them.
        refs: list[ref[Any]] = [*self.contexts.copy(), *self.scopes.copy(), *self._kept.copy()]
        return [canary for each in refs if (canary := each()) is not None]

"""The living registrations of listeners, each with the request and the line that made it."""

import sys
import weakref
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from types import CodeType, MethodType
from typing import Any

from ..core.faults import Faults
from ..core.fork import give_lock
from ..core.site import Site, site_of_code
from ..core.trace import OpenTrace, current_trace
from .registration import (
    Book,
    Exceeded,
    ListenerGroup,
    Registration,
    event_label,
    identity,
    register,
    token_key,
)

ALL = object()
"""Stands for every event of an emitter, or for every part of a registration."""
_MAX_SITES = 10_000
_MAX_WARNED = 1000
_PASSED_THROUGH = frozenset((__name__.partition(".")[0], "contextlib", "functools"))


class Ledger:
    """
    Keep the living registrations of one guard.

    Args:
        owner: Stands for the guard, in its traces.
        max_registrations: Registrations followed at a time; further ones are only counted.
        max_listeners: Living listeners on one event beyond which `exceeded` gets an entry, once.
        faults: Counts errors of this part, `listeners`.
    """

    def __init__(
        self, *, owner: object, max_registrations: int, max_listeners: int, faults: Faults
    ) -> None:
        self._owner = owner
        self._max_registrations = max_registrations
        self._max_listeners = max_listeners
        self._faults = faults
        self._lock = give_lock(self)
        self._books: dict[int, Book] = {}
        self._sites: dict[tuple[CodeType, int], Site] = {}
        self._warned: set[tuple[int, Hashable]] = set()
        # The collector runs anywhere, also while this thread holds the lock, and with it run
        # finalizers that call emitters. So nothing ever waits for the lock to write: it queues.
        self._pending: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._count = 0
        self.missed = 0
        self.exceeded: deque[Exceeded] = deque(maxlen=100)

    def added(
        self,
        emitter: Any,
        event: Hashable,
        listener: Any,
        *,
        library: str,
        weak: bool = False,
        part: Hashable = None,
        token: Any = None,
    ) -> None:
        """
        Record that *listener* was registered; never raises.

        Args:
            emitter: Held weakly.
            event: What it listens to; must be hashable, as emitters require.
            listener: Held weakly if *weak*, else not at all.
            library: Top-level package whose frames are not the call site.
            weak: The emitter holds the listener weakly.
            part: Tells apart several registrations of one listener that end one by one.
            token: Takes the listener off as well as itself does, if anything does.
        """
        if "listeners" in self._faults.off:
            return
        try:
            made = (current_trace(self._owner), self._call_site(library))
            self._write(self._add, emitter, event, listener, weak, part, token, made)
        except Exception as error:
            self._faults.count("listeners", error)

    def removed(
        self,
        emitter: Any,
        event: Any,
        listener: Any,
        *,
        part: Hashable = ALL,
    ) -> None:
        """
        Record that *listener* was taken off *event*, or off `ALL` of them; never raises.

        Args:
            emitter: As it was given to `added`.
            event: The same.
            listener: The same, or its token.
            part: The same, or `ALL` of them.
        """
        try:
            trace = current_trace(self._owner)
            self._write(self._take_off, id(emitter), event, listener, part, trace)
        except Exception as error:
            self._faults.count("listeners", error)

    def cleared(self, emitter: Any, event: Any = ALL) -> None:
        """Record that all listeners were taken off *event*, or off *emitter*; never raises."""
        try:
            self._write(self._remove, id(emitter), event, ALL, ALL, current_trace(self._owner))
        except Exception as error:
            self._faults.count("listeners", error)

    def groups(self) -> list[ListenerGroup]:
        """Return the living registrations made in finished requests, by line and by route."""
        counts: Counter[tuple[Any, ...]] = Counter()
        events: dict[tuple[Any, ...], set[str]] = {}
        with self._reading():
            for key, book in self._books.items():
                for event, registrations in book.events.items():
                    name = event_label(event)
                    for each in registrations.values():
                        if each.record is not None:
                            group = (
                                key,
                                book.kind,
                                each.listener,
                                each.code,
                                each.site,
                                each.record,
                            )
                            counts[group] += 1
                            events.setdefault(group, set()).add(name)
        return [
            ListenerGroup(
                emitter_key=group[0],
                emitter=group[1],
                event=_one_of(events[group]),
                listener=group[2],
                code=group[3],
                site=group[4],
                record=group[5],
                count=count,
            )
            for group, count in counts.items()
        ]

    def counts(self) -> list[tuple[str, str, int]]:
        """Return emitter type, event, and number of all living listeners of each event."""
        totals: Counter[tuple[str, str]] = Counter()
        with self._reading():
            for book in self._books.values():
                for event, registrations in book.events.items():
                    totals[book.kind, event_label(event)] += len(registrations)
        return [(kind, event, count) for (kind, event), count in totals.items()]

    def emitters(self, keys: set[int]) -> dict[int, Any]:
        """Return the emitters with these keys that live; let go of them soon."""
        with self._reading():
            found = {key: self._books[key].emitter() for key in keys if key in self._books}
        return {key: emitter for key, emitter in found.items() if emitter is not None}

    def _write(self, operation: Callable[..., None], *args: Any) -> None:
        self._pending.append((operation, args))
        self._settle()

    def _settle(self) -> None:
        """Do what is pending, unless somebody else is at it; what comes meanwhile waits."""
        if self._lock.acquire(blocking=False):
            try:
                self._do_pending()
            finally:
                self._lock.release()

    def _do_pending(self) -> None:
        for _ in range(len(self._pending)):
            operation, args = self._pending.popleft()
            operation(*args)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Hold off writers for as long as the books are read."""
        with self._lock:
            self._do_pending()
            yield

    def _add(
        self,
        emitter: Any,
        event: Hashable,
        listener: Any,
        weak: bool,
        part: Hashable,
        token: Any,
        made: tuple[OpenTrace | None, Site | None],
    ) -> None:
        book = self._books.get(id(emitter))
        if book is None:
            book = self._books[id(emitter)] = self._opened(emitter)
        key = identity(listener)
        registration = book.events.get(event, {}).get(key)
        if registration is None:
            if self._count >= self._max_registrations:
                self.missed += 1
                return
            registration = register(listener, *made)
            registrations = book.events.setdefault(event, {})
            registrations[key] = registration
            self._count += 1
            registration.token = book.note_token(token, event, key)
            if weak:
                registration.receiver = self._watched(listener, (id(emitter), event, key))
            if len(registrations) > self._max_listeners:
                self._warn(book, id(emitter), event)
        registration.parts.add(part)

    def _opened(self, emitter: Any) -> Book:
        key = id(emitter)
        # A weak reference dies anywhere: it only queues.
        ended = weakref.ref(emitter, lambda _: self._pending.append((self._close_book, (key,))))
        return Book(ended, type(emitter).__qualname__)

    def _watched(self, listener: Any, place: tuple[int, Any, Hashable]) -> Any:
        owner = listener.__self__ if type(listener) is MethodType else listener
        ends = (self._remove, (*place, ALL, None))
        return weakref.ref(owner, lambda _: self._pending.append(ends))

    def _close_book(self, emitter_key: int) -> None:
        book = self._books.pop(emitter_key, None)
        if book is not None:
            self._count -= sum(map(len, book.events.values()))
            self._warned = {each for each in self._warned if each[0] != emitter_key}

    def _take_off(
        self, emitter_key: int, event: Any, listener: Any, part: Hashable, trace: OpenTrace | None
    ) -> None:
        book = self._books.get(emitter_key)
        if book is not None:
            key: Hashable = identity(listener)
            if event is ALL and not any(key in each for each in book.events.values()):
                event, key = book.tokens.get(token_key(listener), (ALL, key))
            self._remove(emitter_key, event, key, part, trace)

    def _remove(
        self, emitter_key: int, event: Any, key: Any, part: Hashable, trace: OpenTrace | None
    ) -> None:
        """Strike off one listener or `ALL`, of one event or `ALL`."""
        book = self._books.get(emitter_key)
        if book is None:
            return
        for each in list(book.events) if event is ALL else [event]:
            registrations = book.events.get(each, {})
            for listener in list(registrations) if key is ALL else [key]:
                self._strike_off(book, registrations, listener, part, trace)
            if not registrations:
                book.events.pop(each, None)

    def _strike_off(
        self,
        book: Book,
        registrations: dict[Hashable, Registration],
        key: Hashable,
        part: Hashable,
        trace: OpenTrace | None,
    ) -> None:
        registration = registrations.get(key)
        if registration is None:
            return
        registration.parts.discard(part)
        if registration.parts and part is not ALL:
            return
        del registrations[key]
        book.tokens.pop(registration.token, None)
        self._count -= 1
        if trace is not None:
            trace.removed += 1

    def _warn(self, book: Book, emitter_key: int, event: Hashable) -> None:
        if (emitter_key, event) in self._warned or len(self._warned) >= _MAX_WARNED:
            return
        self._warned.add((emitter_key, event))
        registrations = book.events[event]
        sites = Counter(each.site for each in registrations.values() if each.site is not None)
        top = tuple(sites.most_common(3))
        self.exceeded.append(
            Exceeded(emitter_key, book.kind, event_label(event), len(registrations), top)
        )

    def _call_site(self, library: str) -> Site | None:
        """Return the nearest line that is neither leakguard's nor the emitter library's."""
        frame = sys._getframe(1)
        while frame is not None:
            package = frame.f_globals.get("__name__", "").partition(".")[0]
            if package != library and package not in _PASSED_THROUGH:
                place = (frame.f_code, frame.f_lineno)
                site = self._sites.get(place)
                if site is None:
                    site = site_of_code(frame.f_code, "call", frame.f_lineno)
                    if len(self._sites) < _MAX_SITES:
                        self._sites[place] = site
                return site
            frame = frame.f_back  # type: ignore[assignment]
        return None


def _one_of(labels: set[str]) -> str:
    return labels.pop() if len(labels) == 1 else "*"

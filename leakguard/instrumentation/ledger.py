"""The living registrations of listeners, each with the request and the line that made it."""

import sys
import weakref
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial
from types import CodeType, MethodType
from typing import Any

from ..core.faults import Faults
from ..core.fork import give_lock
from ..core.registry import RouteRecord
from ..core.site import Site, site_of_code, site_of_function
from ..core.trace import current_trace

ALL = object()
"""Stands for every event of an emitter, or for every part of a registration."""
_MAX_SITES = 10_000
_MAX_WARNED = 1000
_PASSED_THROUGH = frozenset((__name__.partition(".")[0], "contextlib", "functools"))


@dataclass(slots=True)
class Registration:
    """One listener on one event. Holds the listener weakly, or not at all."""

    listener: str
    code: Site | None
    site: Site | None
    record: RouteRecord | None = None
    parts: set[Hashable] = field(default_factory=set)
    receiver: Any = None


@dataclass(slots=True)
class _Book:
    """The registrations on one emitter."""

    emitter: Any
    kind: str
    events: dict[Any, dict[Hashable, Registration]] = field(default_factory=dict)
    count: int = 0


@dataclass(frozen=True, slots=True)
class ListenerGroup:
    """
    Registrations that one line made on one emitter during requests of one route.

    `event` is the event's name, or `*` where there are many, or none fit to be shown.
    """

    emitter_key: int
    emitter: str
    event: str
    listener: str
    code: Site | None
    site: Site | None
    record: RouteRecord
    count: int


@dataclass(frozen=True, slots=True)
class Exceeded:
    """An event with more living listeners than `max_listeners`, and how many which lines added."""

    emitter: str
    event: str
    count: int
    sites: tuple[tuple[Site, int], ...]


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
        self._books: dict[int, _Book] = {}
        self._sites: dict[tuple[CodeType, int], Site] = {}
        self._warned: set[tuple[int, Hashable]] = set()
        # Weak references die anywhere, also while this thread holds the lock: they only queue.
        self._dead: deque[tuple[int, Any, Hashable]] = deque()
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
        key: Hashable = None,
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
            key: Stands for the listener where a token takes it off, not the listener itself.
        """
        if "listeners" in self._faults.off:
            return
        try:
            with self._lock:
                self._bury()
                self._add(emitter, event, listener, library, weak, part, key)
        except Exception as error:
            self._faults.count("listeners", error)

    def removed(
        self,
        emitter: Any,
        event: Any,
        listener: Any,
        *,
        part: Hashable = ALL,
        key: Hashable = None,
    ) -> None:
        """Record that *listener* was taken off *event*, or off `ALL` of them; never raises."""
        try:
            with self._lock:
                self._bury()
                book = self._books.get(id(emitter))
                if book is not None:
                    for each in [event] if event is not ALL else list(book.events):
                        self._remove(id(emitter), each, key or _identity(listener), part)
        except Exception as error:
            self._faults.count("listeners", error)

    def cleared(self, emitter: Any, event: Any = ALL) -> None:
        """Record that all listeners were taken off *event*, or off *emitter*; never raises."""
        try:
            with self._lock:
                self._bury()
                book = self._books.get(id(emitter))
                if book is not None:
                    for each in [event] if event is not ALL else list(book.events):
                        for key in list(book.events.get(each, ())):
                            self._remove(id(emitter), each, key, ALL)
        except Exception as error:
            self._faults.count("listeners", error)

    def groups(self) -> list[ListenerGroup]:
        """Return the living registrations made in finished requests, by line and by route."""
        counts: Counter[tuple[Any, ...]] = Counter()
        events: dict[tuple[Any, ...], set[str]] = {}
        with self._lock:
            self._bury()
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
        with self._lock:
            self._bury()
            for book in self._books.values():
                for event, registrations in book.events.items():
                    totals[book.kind, event_label(event)] += len(registrations)
        return [(kind, event, count) for (kind, event), count in totals.items()]

    def emitters(self, keys: set[int]) -> dict[int, Any]:
        """Return the emitters with these keys that live; let go of them soon."""
        with self._lock:
            found = {key: self._books[key].emitter() for key in keys if key in self._books}
        return {key: emitter for key, emitter in found.items() if emitter is not None}

    def _add(
        self,
        emitter: Any,
        event: Hashable,
        listener: Any,
        library: str,
        weak: bool,
        part: Hashable,
        given_key: Hashable,
    ) -> None:
        book = self._books.get(id(emitter))
        if book is None:
            book = self._books[id(emitter)] = self._opened(emitter)
        registrations = book.events.setdefault(event, {})
        key = given_key or _identity(listener)
        registration = registrations.get(key)
        if registration is None:
            if self._count >= self._max_registrations:
                self.missed += 1
                return
            registration = registrations[key] = self._registration(listener, library)
            self._count += 1
            if weak:
                registration.receiver = self._watched(listener, (id(emitter), event, key))
            if len(registrations) > self._max_listeners:
                self._warn(book, id(emitter), event)
        registration.parts.add(part)

    def _opened(self, emitter: Any) -> _Book:
        gone = partial(self._dead.append, (id(emitter), ALL, None))
        return _Book(weakref.ref(emitter, lambda _: gone()), type(emitter).__qualname__)

    def _registration(self, listener: Any, library: str) -> Registration:
        code = site_of_function(listener, "listener")
        trace = current_trace(self._owner)
        name = code.function if code is not None else type(listener).__qualname__
        registration = Registration(name, code, self._call_site(library))
        if trace is not None:
            trace.added += 1
            if trace.record is None:
                # The route is known only when the request is over.
                trace.registrations = [*(trace.registrations or ()), registration]
            registration.record = trace.record
        return registration

    def _watched(self, listener: Any, place: tuple[int, Any, Hashable]) -> Any:
        owner = listener.__self__ if type(listener) is MethodType else listener
        return weakref.ref(owner, lambda _: self._dead.append(place))

    def _bury(self) -> None:
        """Strike off what has died since the last call."""
        while self._dead:
            emitter_key, event, key = self._dead.popleft()
            if event is ALL:
                book = self._books.pop(emitter_key, None)
                if book is not None:
                    self._count -= sum(map(len, book.events.values()))
                    self._warned = {each for each in self._warned if each[0] != emitter_key}
            else:
                self._remove(emitter_key, event, key, ALL)

    def _remove(self, emitter_key: int, event: Any, key: Hashable, part: Hashable) -> None:
        book = self._books.get(emitter_key)
        registrations = book.events.get(event) if book is not None else None
        registration = registrations.get(key) if registrations is not None else None
        if book is None or registrations is None or registration is None:
            return
        registration.parts.discard(part)
        if registration.parts and part is not ALL:
            return
        del registrations[key]
        self._count -= 1
        if not registrations:
            del book.events[event]
        trace = current_trace(self._owner)
        if trace is not None:
            trace.removed += 1

    def _warn(self, book: _Book, emitter_key: int, event: Hashable) -> None:
        if (emitter_key, event) in self._warned or len(self._warned) >= _MAX_WARNED:
            return
        self._warned.add((emitter_key, event))
        registrations = book.events[event]
        sites = Counter(each.site for each in registrations.values() if each.site is not None)
        top = tuple(sites.most_common(3))
        self.exceeded.append(Exceeded(book.kind, event_label(event), len(registrations), top))

    def _call_site(self, library: str) -> Site | None:
        """Return the nearest line that is neither leakguard's nor the emitter library's."""
        frame = sys._getframe(3)
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


def event_label(event: Any) -> str:
    """Return an event's name if it is a short identifier-like text, else `*`: never contents."""
    if type(event) is str and len(event) <= 40 and event.replace(".", "_").replace(
        ":", "_"
    ).replace("-", "_").isidentifier():  # fmt: skip
        return event
    return "*"


def _one_of(labels: set[str]) -> str:
    return labels.pop() if len(labels) == 1 else "*"


def _identity(listener: Any) -> Hashable:
    """Tell listeners apart as emitters do: methods by instance and function, others by identity."""
    if type(listener) is MethodType:
        return (id(listener.__self__), id(listener.__func__))
    return id(listener)

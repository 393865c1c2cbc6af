"""What is known of a listener: where it was registered, by which request, on which emitter."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

from ..core.registry import RouteRecord
from ..core.site import Site, site_of_function
from ..core.trace import OpenTrace


@dataclass(slots=True)
class Registration:
    """One listener on one event. Holds the listener weakly, or not at all."""

    listener: str
    code: Site | None
    site: Site | None
    record: RouteRecord | None = None
    parts: set[Hashable] = field(default_factory=set)
    receiver: Any = None
    token: Hashable = None


@dataclass(slots=True)
class Book:
    """The registrations on one emitter."""

    emitter: Any
    kind: str
    events: dict[Any, dict[Hashable, Registration]] = field(default_factory=dict)
    tokens: dict[Hashable, tuple[Any, Hashable]] = field(default_factory=dict)

    def note_token(self, token: Any, event: Any, key: Hashable) -> Hashable:
        """Remember what takes a listener off in its stead, and return the key of that."""
        if token is None:
            return None
        given = token_key(token)
        self.tokens[given] = (event, key)
        return given


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

    emitter_key: int
    emitter: str
    event: str
    count: int
    sites: tuple[tuple[Site, int], ...]


def register(listener: Any, trace: OpenTrace | None, site: Site | None) -> Registration:
    """Make a registration, and note it on the trace of the request that made it."""
    code = site_of_function(listener, "listener")
    name = code.function if code is not None else type(listener).__qualname__
    registration = Registration(name, code, site)
    if trace is not None:
        trace.added += 1
        if trace.record is None:
            # The route is known only when the request is over.
            if trace.registrations is None:
                trace.registrations = []
            trace.registrations.append(registration)
        registration.record = trace.record
    return registration


def event_label(event: Any) -> str:
    """Return an event's name if it is a short identifier-like text, else `*`: never contents."""
    if type(event) is str and len(event) <= 40 and event.replace(".", "_").replace(
        ":", "_"
    ).replace("-", "_").isidentifier():  # fmt: skip
        return event
    return "*"


def identity(listener: Any) -> Hashable:
    """Tell listeners apart as emitters do: methods by instance and function, others by identity."""
    if type(listener) is MethodType:
        return (id(listener.__self__), id(listener.__func__))
    return id(listener)


def token_key(token: Any) -> Hashable:
    """Tell tokens apart: numbers and texts by value, others by identity."""
    return ("value", token) if type(token) in (int, str) else ("object", id(token))

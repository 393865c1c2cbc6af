"""What is known of one request: its open trace, its canaries, and the frozen trace it leaves."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .site import Site

if TYPE_CHECKING:
    from .registry import RouteRecord


class Canary:
    """
    Sentinel in a request's scope or environ that dies with it, unless somebody keeps the request.

    `record` stays `None` while the request is under way, and then names its route. Starting values
    are class attributes, here and in `OpenTrace`: a constructor would cost each request more.
    """

    serial = 0
    record: "RouteRecord | None" = None


class OpenTrace:
    """Count what one request does, while it does it; it is the canary of its context, too."""

    serial = 0
    owner: object = None
    outer: "OpenTrace | None" = None
    record: "RouteRecord | None" = None
    scope: Any = None
    canary: Canary | None = None
    collections = 0
    route: str | None = None
    rule: Any = None
    finder: Any = None
    handler: Site | None = None
    opened_s = 0.0
    objects = 0
    blocks: int | None = None
    registrations: Any = None
    added = 0
    removed = 0
    status: int | str = 0
    exclusive = True
    measured = True


@dataclass(frozen=True, slots=True)
class Trace:
    """
    What one finished request did.

    `objects` is the net number of GC-tracked objects its own steps allocated, `blocks` that of
    memory blocks. Both are exact where `exclusive`, and `None` where they were not measured.
    """

    route: str
    method: str
    status: int
    duration_s: float
    objects: int | None
    blocks: int | None
    listeners_added: int
    listeners_removed: int
    retained_so_far: int
    exclusive: bool
    in_flight: int


CURRENT: ContextVar[OpenTrace | None] = ContextVar("leakguard_trace", default=None)
"""The request that the running code belongs to; child tasks and `to_thread` inherit it."""


def current_trace(owner: object) -> OpenTrace | None:
    """
    Return the open trace of *owner*'s guard that the running code belongs to.

    Where several guards follow one request, the traces of the outer ones stand behind that of the
    innermost.
    """
    trace = CURRENT.get()
    while trace is not None and trace.owner is not owner:
        trace = trace.outer
    return trace

"""A suspected leak, and the evidence for it."""

from dataclasses import dataclass
from typing import Literal

from .registry import RouteRecord
from .site import Site

State = Literal["suspect", "confirmed", "resolved"]
Kind = Literal["retained_request", "listener"]


@dataclass(frozen=True, slots=True)
class Observation:
    """
    How many things of one kind one route has left behind in one place, at one pass.

    Attributes:
        kind: What is left behind.
        signature: What tells this place from others, the same at every pass.
        record: The route.
        count: How many are there now.
        size_bytes: What they keep, where it was measured.
        holder: The dotted name of the nearest named thing that holds them.
        path: The chain of references that keeps them.
        sites: The lines that put them there, as far as known.
        evidence: Other observations of the same cause.
    """

    kind: Kind
    signature: tuple[str, ...]
    record: RouteRecord
    count: int
    size_bytes: int | None
    holder: str
    path: tuple[str, ...]
    sites: tuple[Site, ...]
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteShare:
    """A route's part in a leak. `share` is the fraction of what is kept that it has left."""

    route: str
    method: str
    share: float


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of things and their size in bytes; `None` where it was not measured."""

    count: float
    bytes: float | None


@dataclass(frozen=True, slots=True)
class Suspect:
    """
    Growth that goes on with traffic.

    Attributes:
        state: `suspect` (it grows), `confirmed` (it goes on growing), `resolved` (it stopped).
        how: How the count is known: `exact` for canaries and the ledger.
        first_seen, last_seen: Seconds since the epoch.
    """

    id: str
    state: State
    kind: Kind
    routes: tuple[RouteShare, ...]
    holder: str
    path: tuple[str, ...]
    per_request: Amount
    total: Amount
    how: str
    sites: tuple[Site, ...]
    first_seen: float
    last_seen: float
    evidence: tuple[str, ...]
    advice: str

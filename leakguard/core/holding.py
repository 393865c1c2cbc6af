"""What a walk over the heap found: who holds which requests, and how many objects there are."""

from dataclasses import dataclass

from .site import Site


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """
    Requests that are over and kept in the same way.

    Attributes:
        serials: The requests.
        path: The chain of references that keeps them, from its root on, keys collapsed.
        holder: The dotted name of the nearest named thing on that chain.
        site: Code that is itself part of the chain, if any.
        emitter: Number of the watched emitter that the chain goes through, if any.
        harmless: Only references that are known to do no harm lead here, as a server's do that
            keeps the last request of each connection.
        size_bytes: What these requests keep and nothing else does; `None` where not measured.
    """

    serials: tuple[int, ...]
    path: tuple[str, ...]
    holder: str
    site: Site | None
    emitter: int | None
    harmless: bool
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class TypeRow:
    """How many objects of a type there are, and their own (shallow) size if it was measured."""

    type: str
    count: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Examination:
    """
    What one walk found.

    Attributes:
        groups: The held requests, by how they are held.
        unreached: Requests alive, but held by nothing that a walk from the roots reaches: cycles
            that wait for the collector, or references from C code.
        emitter_names: The dotted name of each emitter that was asked for.
        types: Objects by type, where a census was asked for.
        objects: Objects reached.
        how: `fork` or `inline`.
        complete: False if time ran out.
        own_bytes: What leakguard's own stores hold; `None` where not measured.
        pause_s: For how long the service's threads stood still.
        duration_s, cpu_s: What the walk took.
    """

    groups: tuple[HeldGroup, ...]
    unreached: tuple[int, ...]
    emitter_names: tuple[str | None, ...]
    types: tuple[TypeRow, ...]
    objects: int
    how: str
    complete: bool
    own_bytes: int | None
    pause_s: float
    duration_s: float
    cpu_s: float

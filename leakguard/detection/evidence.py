"""Bring the traces of one cause together: what each pass saw, as observations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ..core.holding import HeldGroup
from ..core.registry import RouteRecord
from ..core.site import Site, is_library
from ..core.suspect import Observation


class Listeners(Protocol):
    """Registrations that one line made on one emitter during requests of one route."""

    @property
    def emitter_key(self) -> int: ...
    @property
    def emitter(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def listener(self) -> str: ...
    @property
    def code(self) -> Site | None: ...
    @property
    def site(self) -> Site | None: ...
    @property
    def record(self) -> RouteRecord: ...
    @property
    def count(self) -> int: ...


def observe(
    groups: Sequence[HeldGroup],
    listeners: Sequence[Listeners],
    *,
    records: Mapping[int, RouteRecord],
    emitter_keys: Sequence[int],
    emitter_names: Mapping[int, str],
    forgotten: Mapping[tuple[tuple[str, ...], RouteRecord], int],
) -> list[Observation]:
    """
    Return what is left behind, one observation for each place and route.

    Requests that are kept through an emitter, by a listener that the ledger knows, are evidence
    for that listener, not a leak of their own.

    Args:
        groups: Held requests, by how they are held.
        listeners: Living registrations made in requests.
        records: The route of each held request, by its number.
        emitter_keys: The emitters in the order in which *groups* number them.
        emitter_names: Dotted names of emitters, by key.
        forgotten: Requests kept in the same way that are followed no longer, by path and route.
    """
    kept: dict[tuple[int, RouteRecord], tuple[HeldGroup, int]] = {}
    found: list[Observation] = []
    listening = {(each.emitter_key, each.record) for each in listeners}
    for group in groups:
        if group.harmless:
            continue
        for record, count in Counter(records[serial] for serial in group.serials).items():
            key = None if group.emitter is None else emitter_keys[group.emitter]
            if key is not None and (key, record) in listening:
                kept[key, record] = (group, count)
            else:
                more = forgotten.get((group.path, record), 0)
                found.append(_retained(group, record, count + more))
    for each in listeners:
        name = emitter_names.get(each.emitter_key, f"a {each.emitter}")
        found.append(_listening(each, name, kept.get((each.emitter_key, each.record))))
    return _merged(found)


def _retained(group: HeldGroup, record: RouteRecord, count: int) -> Observation:
    return Observation(
        kind="retained_request",
        signature=group.path,
        record=record,
        count=count,
        size_bytes=_part(group, count),
        holder=group.holder,
        path=group.path,
        sites=_sites(group.site, record.handler),
    )


def _sites(holder: Site | None, handler: Site | None) -> tuple[Site, ...]:
    """Put code on the path first, unless it is a library's: then the route's handler tells more."""
    found = [site for site in (holder, handler) if site is not None]
    return tuple(sorted(found, key=lambda site: is_library(site.file)))


def _listening(each: Listeners, name: str, kept: tuple[HeldGroup, int] | None) -> Observation:
    place = f"{each.code.file}:{each.code.line}" if each.code is not None else ""
    event = f" on event {each.event}" if each.event not in ("", "*") else ""
    path: tuple[str, ...] = (f"{name}: {each.emitter}", f"{each.listener}{event}")
    evidence: tuple[str, ...] = ()
    size_bytes = None
    if kept is not None:
        group, count = kept
        path = group.path
        size_bytes = _part(group, count)
        evidence = (f"{count} requests that are over are kept through it",)
    return Observation(
        kind="listener",
        signature=(each.emitter, each.listener, place, str(each.site)),
        record=each.record,
        count=each.count,
        size_bytes=size_bytes,
        holder=name,
        path=path,
        sites=tuple(site for site in (each.site, each.code) if site is not None),
        evidence=(f"listener {each.listener}{event}", *evidence),
    )


def _merged(found: Sequence[Observation]) -> list[Observation]:
    """Add up what was seen of one place and route in several pieces."""
    merged: dict[tuple[object, ...], Observation] = {}
    for each in found:
        key = (each.kind, each.signature, each.record)
        other = merged.get(key)
        if other is not None:
            large, small = (each, other) if each.count > other.count else (other, each)
            sizes = [size for size in (large.size_bytes, small.size_bytes) if size is not None]
            each = replace(
                large,
                count=large.count + small.count,
                size_bytes=sum(sizes) if sizes else None,
            )
        merged[key] = each
    return list(merged.values())


def _part(group: HeldGroup, count: int) -> int | None:
    if group.size_bytes is None:
        return None
    return group.size_bytes * count // len(group.serials)

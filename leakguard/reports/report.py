"""The report: one versioned document, the same for the endpoint, the caller and the log."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from ..core.registry import RouteRecord
from ..core.suspect import Suspect

VERSION = 1
NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class RouteRow:
    """
    What the requests of one route did.

    `objects_per_request` and `blocks_per_request` are net: allocated less freed, by the end of
    the request. `how` says for each figure whether it is `exact`, `undisturbed` (measured on
    requests that nothing else disturbed; CPython's counter does not see lists, dicts and tuples
    that it takes from its free lists), `estimated` (other threads ran meanwhile) or `not known`.
    """

    route: str
    method: str
    requests: int
    in_flight: int
    objects_per_request: float | None
    blocks_per_request: float | None
    bytes_per_request: float | None
    retained_requests: int
    listeners_unreleased: int
    exclusive_share: float | None
    how: dict[str, str]
    handler: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """
    All that a guard knows now, in the field names of version 1: fields are added, never changed.

    `to_dict` gives it as plain values, `to_json` as a text.
    """

    process: Mapping[str, Any]
    trend: Mapping[str, Any]
    routes: Sequence[RouteRow]
    suspects: Sequence[Suspect]
    listeners: Sequence[Mapping[str, Any]]
    connections: Sequence[Mapping[str, Any]]
    resources: Mapping[str, Any]
    overhead: Mapping[str, Any]
    errors: Mapping[str, Any]
    version: int = field(default=VERSION, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as dictionaries, lists, texts and numbers."""
        plain: dict[str, Any] = _plain(asdict(self))
        return {"version": plain.pop("version"), **plain}

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict())


def route_rows(
    records: Sequence[RouteRecord],
    in_flight: Mapping[RouteRecord, int],
    suspects: Sequence[Suspect],
) -> list[RouteRow]:
    """Return a row for each route, the most used first."""
    kept: Counter[tuple[str, str]] = Counter()
    for suspect in suspects:
        if suspect.state != "resolved" and suspect.per_request.bytes is not None:
            for share in suspect.routes:
                kept[share.method, share.route] += suspect.per_request.bytes * share.share  # type: ignore[assignment]
    rows = [_row(record, in_flight.get(record, 0), kept) for record in records]
    rows.sort(key=lambda row: -row.requests)
    return rows


def _row(record: RouteRecord, in_flight: int, kept: Mapping[tuple[str, str], float]) -> RouteRow:
    objects, objects_how = _mean(record.objects, record.exclusive), "undisturbed"
    if objects is None:
        objects, objects_how = _mean(record.objects_all, record.measured), "estimated"
    blocks = _mean(record.blocks, record.blocks_sampled)
    size = kept.get((record.method, record.route))
    return RouteRow(
        route=record.route,
        method=record.method,
        requests=record.requests,
        in_flight=in_flight,
        objects_per_request=objects,
        blocks_per_request=blocks,
        bytes_per_request=None if size is None else round(size, 1),
        retained_requests=record.retained,
        listeners_unreleased=record.listeners,
        exclusive_share=_mean(record.exclusive, record.requests),
        how={
            "objects_per_request": NOT_KNOWN if objects is None else objects_how,
            "blocks_per_request": NOT_KNOWN if blocks is None else "undisturbed, sampled",
            "bytes_per_request": NOT_KNOWN if size is None else "walked: what its suspects keep",
            "retained_requests": "exact, at the last pass",
            "listeners_unreleased": "exact",
        },
        handler=str(record.handler) if record.handler is not None else None,
    )


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 3) if count else None


def _plain(value: Any) -> Any:
    """Return *value* with tuples as lists, as JSON would give it back."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value

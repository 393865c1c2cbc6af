"""Turn what each pass saw into suspects, and say when one changes its state."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ..core.fork import give_lock
from ..core.registry import RouteRecord
from ..core.suspect import Amount, Kind, Observation, RouteShare, State, Suspect
from ..types import Clock
from .advice import advice_for
from .series import Series

_RANK: dict[State, int] = {"confirmed": 0, "suspect": 1, "resolved": 2}

_WORTH: dict[State | None, int] = {"resolved": 0, None: 1, "suspect": 2, "confirmed": 3}


@dataclass(slots=True)
class _Case:
    """All that is known of one place where things are left behind."""

    latest: Observation
    first_seen: float
    last_seen: float
    series: dict[RouteRecord, Series] = field(default_factory=dict)
    said: State | None = None

    @property
    def state(self) -> State | None:
        states = [each.state for each in self.series.values() if each.state != "quiet"]
        return min(states, key=_RANK.__getitem__, default=None)

    @property
    def count(self) -> int:
        return sum(each.count for each in self.series.values())


class SuspectBook:
    """
    Keep a series for each place and route, and the suspects that they make.

    Args:
        max_suspects: Places kept; resolved ones, then the least grown ones, are dropped first.
        clock: Seconds since the epoch.
    """

    def __init__(self, *, max_suspects: int, clock: Clock) -> None:
        self._max_suspects = max_suspects
        self._clock = clock
        self._cases: dict[tuple[Kind, tuple[str, ...]], _Case] = {}
        self._seen_requests: dict[RouteRecord, int] = {}
        self._lock = give_lock(self)

    def observe(
        self,
        observations: Iterable[Observation],
        requests: dict[RouteRecord, int],
        *,
        kinds: Collection[Kind] = ("listener", "retained_request"),
    ) -> list[Suspect]:
        """
        Take in what one pass saw, and return the suspects whose state it changed.

        Args:
            observations: All that is left behind now; what was there before and is not among
                them is gone.
            requests: How many each route had when they were seen: the clock of every series.
            kinds: What could be looked for at this pass; nothing is said of others.
        """
        now = self._clock()
        with self._lock:
            self._take(observations, requests, kinds, now)
            self._seen_requests = requests
            changed = []
            for case in self._cases.values():
                state = case.state
                if state is not None and state != case.said:
                    case.said = state
                    changed.append(_suspect(case))
            self._drop_surplus()
        return changed

    def suspects(self) -> tuple[Suspect, ...]:
        """Return the suspects, confirmed ones first, the largest of each state first."""
        with self._lock:
            found = [_suspect(case) for case in self._cases.values() if case.state is not None]
        found.sort(
            key=lambda each: (_RANK[each.state], -(each.total.bytes or 0), -each.total.count)
        )
        return tuple(found)

    def _take(
        self,
        observations: Iterable[Observation],
        requests: dict[RouteRecord, int],
        kinds: Collection[Kind],
        now: float,
    ) -> None:
        gone = {
            (key, record)
            for key, case in self._cases.items()
            for record in case.series
            if key[0] in kinds
        }
        # The largest comes last, and so is the one that the suspect shows.
        for each in sorted(observations, key=lambda each: each.count):
            key = (each.kind, each.signature)
            case = self._cases.get(key)
            if case is None:
                case = self._cases[key] = _Case(each, now, now)
            case.latest = each
            case.last_seen = now
            if each.record not in case.series:
                # It was not there at the pass before, which is the first point.
                before = self._seen_requests.get(each.record, 0)
                case.series[each.record] = Series(before, 0)
            case.series[each.record].add(requests.get(each.record, 0), each.count)
            gone.discard((key, each.record))
        for key, record in gone:
            self._cases[key].series[record].add(requests.get(record, 0), 0)

    def _drop_surplus(self) -> None:
        def worth(key: tuple[Kind, tuple[str, ...]]) -> tuple[int, int]:
            case = self._cases[key]
            return (_WORTH[case.state], case.count)

        for key in [key for key, case in self._cases.items() if not case.count and not case.state]:
            del self._cases[key]
        for key in sorted(self._cases, key=worth)[: max(len(self._cases) - self._max_suspects, 0)]:
            del self._cases[key]


def _suspect(case: _Case) -> Suspect:
    latest = case.latest
    total = case.count
    ranked = sorted(case.series.items(), key=lambda item: -max(item[1].count, item[1].peak[1]))
    weights = [max(series.count, series.peak[1] if not total else 0) for _, series in ranked]
    whole = sum(weights) or 1
    rate = sum(series.rate * weight for (_, series), weight in zip(ranked, weights, strict=True))
    each_bytes = latest.size_bytes / latest.count if latest.size_bytes and latest.count else None
    per_request = rate / whole
    return Suspect(
        id=suspect_id(latest.kind, latest.signature),
        state=case.state or "suspect",
        kind=latest.kind,
        routes=tuple(
            RouteShare(record.route, record.method, round(weight / whole, 4))
            for (record, _), weight in zip(ranked, weights, strict=True)
            if weight
        ),
        holder=latest.holder,
        path=latest.path,
        per_request=Amount(
            round(per_request, 4), each_bytes and round(each_bytes * per_request, 1)
        ),
        total=Amount(total, each_bytes and round(each_bytes * total)),
        how="exact",
        sites=latest.sites,
        first_seen=case.first_seen,
        last_seen=case.last_seen,
        evidence=latest.evidence,
        advice=advice_for(latest),
    )


def suspect_id(kind: str, signature: Iterable[str]) -> str:
    """Return a short name for a place, the same in every process and after a restart."""
    text = "\0".join((kind, *signature))
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()

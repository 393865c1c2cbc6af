"""One pass: look at what is left behind, judge it, and say what has changed."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .core.config import Config
from .core.faults import Faults
from .core.fork import give_lock
from .core.holding import Examination, HeldGroup
from .core.registry import RouteRecord
from .core.suspect import Kind, Suspect
from .core.trace import Canary
from .detection.evidence import observe
from .detection.suspects import SuspectBook
from .exceptions import WalkError
from .heap.examiner import Examiner, Question
from .heap.holders import Target
from .heap.walk import Root
from .instrumentation.ledger import Ledger
from .instrumentation.registration import Exceeded, ListenerGroup
from .tracing.colony import Survivor
from .tracing.tracer import Tracer
from .types import Log

_CROWDED = 0.8
"""Part of the canaries' bound above which old ones, whose holder is known, are let go."""
_EVENTS = {
    "suspect": ("info", "leak_suspected"),
    "confirmed": ("warning", "leak_confirmed"),
    "resolved": ("info", "leak_resolved"),
}


class Passes:
    """
    Take passes over what requests leave behind, one at a time.

    Args:
        config: Bounds.
        tracer: Has the routes and the surviving canaries.
        ledger: Has the living listeners.
        examiner: Walks the heap.
        book: Judges.
        own: leakguard's stores, whose size is measured with each walk.
        faults: Counts errors of the part `passes`.
        log: Says what has changed.
    """

    def __init__(
        self,
        config: Config,
        *,
        tracer: Tracer,
        ledger: Ledger,
        examiner: Examiner,
        book: SuspectBook,
        own: Sequence[Any],
        faults: Faults,
        log: Log,
    ) -> None:
        self._config = config
        self._tracer = tracer
        self._ledger = ledger
        self._examiner = examiner
        self._book = book
        self._own = own
        self._faults = faults
        self._log = log
        self._lock = give_lock(self)
        self.names: dict[int, str] = {}
        self._forgotten: Counter[tuple[tuple[str, ...], RouteRecord]] = Counter()
        self._walk_failed: str | None = None
        self.latest: Examination | None = None
        self.count = 0
        self.cpu_s = 0.0
        self.last_at: float | None = None

    def take(self) -> float:
        """Take one pass and return the CPU seconds that it cost; never raises."""
        begun = time.thread_time()
        walked = 0.0
        if "passes" in self._faults.off:
            return 0.0
        try:
            with self._lock:
                walked = self._take()
        except Exception as error:
            self._faults.count("passes", error)
        cpu_s = time.thread_time() - begun + walked
        self.count += 1
        self.cpu_s += cpu_s
        self.last_at = time.time()
        return cpu_s

    def roots(self) -> list[Root]:
        """Return the wrapped applications, as places to start a walk from."""
        return [
            Root(f"<application {type(app).__name__}>", app) for app in self._tracer.applications()
        ]

    def _take(self) -> float:
        # Read together with what is left behind: the walk takes time, and requests go on.
        requests = {record: record.requests for record in self._tracer.registry.records()}
        survivors = self._tracer.colony.survivors()
        listeners = self._ledger.groups()
        records = {survivor.serial: survivor.record for survivor in survivors}
        emitters = self._ledger.emitters({each.emitter_key for each in listeners})
        keys = list(emitters)
        self.names = {key: self.names[key] for key in keys if key in self.names}
        groups: Sequence[HeldGroup] = ()
        kinds: tuple[Kind, ...] = ("listener", "retained_request")
        cpu_s = 0.0
        if survivors or len(self.names) < len(keys):
            seen = self._examined(survivors, list(emitters.values()))
            if seen is None:
                kinds = ("listener",)
            else:
                groups, cpu_s = seen.groups, seen.cpu_s
                found = zip(keys, seen.emitter_names, strict=True)
                self.names.update((key, name) for key, name in found if name is not None)
        del survivors, emitters  # from here on nothing of the requests is held
        if "retained_request" in kinds:
            self._count_retained(groups, records)
        self._count_listeners(listeners)
        observations = observe(
            groups,
            listeners,
            records=records,
            emitter_keys=keys,
            emitter_names=self.names,
            forgotten=self._forgotten,
        )
        for suspect in self._book.observe(observations, requests, kinds=kinds):
            level, event = _EVENTS[suspect.state]
            self._log(level, event, **suspect_keys(suspect))
        while self._ledger.exceeded:
            exceeded = self._ledger.exceeded.popleft()
            holder = self.names.get(exceeded.emitter_key)
            keys_said = exceeded_keys(exceeded, holder)
            self._log("warning", "max_listeners_exceeded", **keys_said)
        self._relieve(groups, records)
        return cpu_s

    def _examined(self, survivors: list[Survivor], emitters: list[Any]) -> Examination | None:
        """Walk the heap for the holders of *survivors*; `None` where that gave no result."""
        targets = [
            # The scope's canary first: what keeps a request tells more than what keeps a context.
            Target(each.serial, tuple(sorted(each.canaries, key=lambda c: type(c) is not Canary)))
            for each in survivors
        ]
        question = Question(
            targets=targets,
            emitters=emitters,
            applications=self.roots(),
            loops=self._tracer.loops(),
            own=self._own,
        )
        try:
            seen = self._examiner.examine(question)
        except WalkError as error:
            if error.reason != self._walk_failed:
                self._log("warning", "walk_failed", reason=error.reason, error=str(error))
            self._walk_failed = error.reason
            return None
        self._walk_failed = None
        self.latest = seen
        return seen

    def _count_retained(self, groups: Sequence[HeldGroup], records: dict[int, RouteRecord]) -> None:
        """Write to each route's record how many of its requests are kept."""
        held = {(group.path, records[serial]) for group in groups for serial in group.serials}
        for gone in self._forgotten.keys() - held:
            del self._forgotten[gone]
        retained: Counter[RouteRecord] = Counter()
        for (_, record), count in self._forgotten.items():
            retained[record] += count
        for group in groups:
            if not group.harmless:
                retained.update(records[serial] for serial in group.serials)
        for record in self._tracer.registry.records():
            record.retained = retained[record]

    def _count_listeners(self, listeners: Sequence[ListenerGroup]) -> None:
        """Write to each route's record how many of its listeners live."""
        unreleased: Counter[RouteRecord] = Counter()
        for each in listeners:
            unreleased[each.record] += each.count
        for record in self._tracer.registry.records():
            record.listeners = unreleased[record]

    def _relieve(self, groups: Sequence[HeldGroup], records: dict[int, RouteRecord]) -> None:
        """
        Follow half of the largest group no longer, where there are too many survivors.

        Their holder is known, and they are still counted for as long as the rest of their group
        lives. So a large leak leaves room to see a second one.
        """
        if len(records) * 2 < self._config.max_survivors * _CROWDED:
            return
        largest = max(groups, key=lambda group: len(group.serials), default=None)
        if largest is not None and not largest.harmless:
            serials = sorted(largest.serials)[: len(largest.serials) // 2]
            self._tracer.colony.forget(set(serials))
            self._forgotten.update((largest.path, records[serial]) for serial in serials)


def suspect_keys(suspect: Suspect) -> dict[str, Any]:
    """Return what a log line says of a suspect."""
    first = suspect.routes[0] if suspect.routes else None
    return {
        "id": suspect.id,
        "route": first.route if first else None,
        "method": first.method if first else None,
        "kind": suspect.kind,
        "holder": suspect.holder,
        "path": " -> ".join(suspect.path),
        "site": str(suspect.sites[0]) if suspect.sites else None,
        "count": suspect.total.count,
        "size_bytes": suspect.total.bytes,
        "per_request": suspect.per_request.count,
        "advice": suspect.advice,
    }


def exceeded_keys(exceeded: Exceeded, holder: str | None) -> dict[str, Any]:
    """Return what a log line says of an event with too many listeners."""
    return {
        "emitter": exceeded.emitter,
        "holder": holder,
        "event_name": exceeded.event,
        "count": exceeded.count,
        "sites": [f"{site}, {count} of them" for site, count in exceeded.sites],
    }

"""`LeakGuard`: the one place where all parts are put together."""

import time
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .core.config import build_config
from .core.faults import Faults
from .core.fork import give_lock
from .core.registry import Registry, RouteRecord
from .core.trace import Trace
from .detection.suspects import SuspectBook
from .endpoints.auth import Gate
from .endpoints.door import DebugDoor
from .exceptions import WalkError
from .heap.examiner import Examiner, Question
from .heap.snapshot import Snapshot, SnapshotStore, snapshot_of
from .instrumentation.ledger import Ledger
from .instrumentation.libraries import Libraries
from .instrumentation.watch import Watch
from .middleware.install import install
from .passes import Passes
from .process.level import read_level, read_resources, require_headroom
from .process.monitor import Monitor
from .reports.events import Events
from .reports.report import NOT_KNOWN, Report, route_rows
from .tracing.colony import Colony
from .tracing.tracer import Tracer

_SUMMARY_ROUTES = 20


class LeakGuard:
    """
    Find memory leaks of a running service, by route.

    Args:
        **settings: The fields of `Config`, such as `token=…`. What is not given is read from
            `LEAKGUARD_…` variables, then from the defaults.

    Raises:
        ConfigError: A setting is unknown, or has a value that it does not allow.

    Nothing runs and nothing is replaced until an application is wrapped and serves its first
    request; that request starts the monitor thread, in the process that serves.
    """

    def __init__(self, **settings: Any) -> None:
        config = self.config = build_config(settings)
        self._events = Events()
        self._faults = Faults(max_errors=config.max_errors, log=self._events)
        if not config.enabled:
            self._faults.off.add("tracing")
        owner = object()
        self._registry = Registry(max_routes=config.max_routes)
        self._ledger = Ledger(
            owner=owner,
            max_registrations=config.max_registrations,
            max_listeners=config.max_listeners,
            faults=self._faults,
        )
        self._libraries = Libraries(config.instrument, ledger=self._ledger, faults=self._faults)
        self.tracer = Tracer(
            owner=owner,
            registry=self._registry,
            colony=Colony(max_canaries=config.max_survivors),
            faults=self._faults,
            on_serve=self._serve,
            on_rest=self._rest,
        )
        self._examiner = Examiner(
            mode=config.walk,
            deadline_s=config.walk_deadline_s,
            inline_budget_s=config.inline_budget_s,
            headroom=require_headroom,
        )
        self._book = SuspectBook(max_suspects=config.max_suspects, clock=time.time)
        self._store = SnapshotStore(max_snapshots=config.max_snapshots)
        self._own = (
            self._registry, self.tracer.colony, self._ledger, self._book, self._store,
        )  # fmt: skip
        self._passes = Passes(
            config,
            tracer=self.tracer,
            ledger=self._ledger,
            examiner=self._examiner,
            book=self._book,
            own=self._own,
            faults=self._faults,
            log=self._events,
        )
        self._monitor = Monitor(
            self._pass, interval_s=config.interval_s, cpu_budget=config.cpu_budget
        )
        self.door = DebugDoor(
            self,
            self._gate() if config.has_auth else None,
            prefix=config.prefix,
            on_closed=self._say_closed,
            on_error=lambda error: self._faults.count("endpoints", error),
        )
        self._lock = give_lock(self)
        self._snapshot_failure: tuple[float, str, str] | None = None
        self._said_closed = False
        self._started_at = time.monotonic()
        self._summarized_at = time.monotonic()
        self._summarized: dict[RouteRecord, int] = {}
        # Each lives as long as what it watches, through the methods that it has replaced.
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        if config.enabled:
            self._libraries.attach()

    def install(self, app: Any) -> Any:
        """
        Wrap *app* and return it; for a plain ASGI or WSGI callable, return the wrapped one.

        FastAPI, Starlette, Flask and Quart get a middleware, and are returned themselves. Django's
        `get_asgi_application()` and `get_wsgi_application()`, and any other callable, are wrapped:
        serve what this returns. Installing twice is harmless. Install last, so that what other
        middleware leaves behind is seen, too.

        Raises:
            InstallError: *app* is no application, or a Starlette one that serves already.
        """
        return install(app, tracer=self.tracer, door=self.door)

    def watch(self, emitter: Any, *, add: str = "subscribe", remove: str = "unsubscribe") -> None:
        """
        Follow the listeners of an object that leakguard does not know; twice is harmless.

        Args:
            emitter: An instance, class or module; held weakly.
            add: Its method that registers a listener, the first callable among the arguments.
            remove: Its method that takes one off, given the listener or what *add* returned.

        Raises:
            WatchError: It has no such methods, or they cannot be replaced on it.
        """
        self._watches.add(Watch(emitter, add=add, remove=remove, ledger=self._ledger))

    def analyze(self) -> Report:
        """
        Take one pass now and return the report.

        The calling thread waits for the walk (about 1 us an object, in a forked child, where
        anything is left behind at all); so in asynchronous code use `asyncio.to_thread`.
        """
        self._libraries.attach()
        self._passes.take()
        return self.report()

    def report(self) -> Report:
        """Return what is known now, as of the last pass. Costs about a millisecond."""
        suspects = self._book.suspects()
        in_flight = Counter(self.tracer.routes_under_way())
        passes = self._passes
        walk = passes.latest
        uptime_s = time.monotonic() - self._started_at
        return Report(
            process=asdict(read_level()),
            trend={"state": NOT_KNOWN, "bytes_per_hour": None, "limit_eta_s": None},
            routes=route_rows(self._registry.records(), in_flight, suspects),
            suspects=suspects,
            listeners=self._listener_rows(),
            connections=(),
            resources=read_resources(),
            overhead={
                "passes": passes.count,
                "last_pass_at": passes.last_at,
                "cpu_s": round(passes.cpu_s, 6),
                "cpu_share": round(passes.cpu_s / uptime_s, 6) if uptime_s else None,
                "monitor": self._monitor.running,
                "own_bytes": walk.own_bytes if walk is not None else None,
                "waiting_for_gc": len(walk.unreached) if walk is not None else None,
                "last_walk": _walk_row(walk) if walk is not None else None,
                "canaries_missed": self.tracer.colony.missed,
                "listeners_missed": self._ledger.missed,
                "libraries": self._libraries.attached,
            },
            errors={
                "counts": {**self._faults.counts(), **self._events.failures()},
                "switched_off": sorted(self._faults.off),
            },
        )

    def snapshot(self, *, reason: str = "requested") -> Snapshot:
        """
        Count all objects by type, now, and keep the result.

        Takes about 4 us an object, in a forked child; the calling thread waits.

        Args:
            reason: Kept with the snapshot.

        Raises:
            WalkError: The heap could not be walked.
        """
        with self._lock:
            return self._taken(reason)

    def recent_snapshot(self) -> Snapshot:
        """
        Return the snapshot under way or the last one within the cool-down, else take one.

        Raises:
            WalkError: The heap could not be walked, now or within the cool-down.
        """
        with self._lock:
            latest = self._store.latest()
            cooldown_s = self.config.snapshot_cooldown_s
            if latest is not None and time.time() - latest.taken_at < cooldown_s:
                return latest
            if self._snapshot_failure is not None:
                failed_at, reason, message = self._snapshot_failure
                if time.monotonic() - failed_at < cooldown_s:
                    raise WalkError(reason, message)
            return self._taken("requested")

    def find_snapshot(self, name: str) -> Snapshot:
        """
        Return a kept snapshot by its id.

        Raises:
            SnapshotNotFoundError: There is none with this id.
        """
        return self._store.get(name)

    def delete_snapshot(self, name: str) -> None:
        """
        Drop a kept snapshot.

        Raises:
            SnapshotNotFoundError: There is none with this id.
        """
        self._store.delete(name)

    def all_snapshots(self) -> Sequence[Snapshot]:
        """Return the kept snapshots, the oldest first."""
        return self._store.all()

    def snapshot_before(self, snapshot: Snapshot) -> Snapshot | None:
        """Return the newest kept snapshot that is older than *snapshot*."""
        return self._store.before(snapshot)

    def own_bytes(self) -> int | None:
        """
        Measure what leakguard's own stores hold, in bytes; `None` where walks are inline.

        Raises:
            WalkError: The heap could not be walked.
        """
        return self._examiner.examine(Question(own=self._own)).own_bytes

    def close(self) -> None:
        """End the monitor and put back all that was replaced. Calling it twice is harmless."""
        self._rest()
        self.tracer.gauge.stop()
        self._libraries.detach()
        for watch in list(self._watches):
            watch.end()
        self._watches.clear()
        self.tracer.serving = False

    def _serve(self) -> None:
        """Begin to work in the process that serves, as its first request arrives."""
        self._libraries.attach()
        self.tracer.gauge.start()
        self._watch_debug_level()
        if self.config.monitor:
            self._monitor.start()
            self.tracer.own_threads = 2

    def _rest(self) -> None:
        self._monitor.stop()
        self.tracer.own_threads = 1

    def _pass(self) -> float:
        """Be called by the monitor: take a pass, and do what is done now and then."""
        self._libraries.attach()
        self._watch_debug_level()
        self.tracer.active = len(self.tracer.colony.under_way())
        cpu_s = self._passes.take()
        if time.monotonic() - self._summarized_at >= self.config.summary_interval_s:
            self._summarized_at = time.monotonic()
            self._summarize()
        return cpu_s

    def _watch_debug_level(self) -> None:
        self.tracer.on_trace = self._say_trace if self._events.wants_debug() else None

    def _say_trace(self, trace: Trace) -> None:
        self._events("debug", "request_traced", **asdict(trace))

    def _summarize(self) -> None:
        """Say one line for each of the routes that leave most behind, or are used most."""
        rows = [
            (record.retained + record.listeners, record.requests - self._summarized.get(record, 0),
             record)
            for record in self._registry.records()
        ]  # fmt: skip
        rows.sort(key=lambda row: (-row[0], -row[1]))
        for _, requests, record in rows[:_SUMMARY_ROUTES]:
            if requests:
                (row,) = route_rows([record], {}, ())
                self._events(
                    "info", "route_summary", route=row.route, method=row.method,
                    requests=requests, objects_per_request=row.objects_per_request,
                    retained_requests=row.retained_requests,
                    listeners_unreleased=row.listeners_unreleased,
                    exclusive_share=row.exclusive_share,
                )  # fmt: skip
        self._summarized = {record: record.requests for record in self._registry.records()}

    def _listener_rows(self) -> list[dict[str, Any]]:
        names = self._passes.names
        return [
            {
                "emitter": each.emitter,
                "holder": names.get(each.emitter_key),
                "event": each.event,
                "listener": each.listener,
                "count": each.count,
                "how": "exact",
                "route": each.record.route,
                "method": each.record.method,
                "site": asdict(each.site) if each.site is not None else None,
            }
            for each in self._ledger.groups()
        ]

    def _taken(self, reason: str) -> Snapshot:
        try:
            seen = self._examiner.examine(
                Question(loops=self.tracer.loops(), applications=self._passes.roots(), census=True)
            )
        except WalkError as error:
            # Not the error itself: its traceback holds the request that asked.
            self._snapshot_failure = (time.monotonic(), error.reason, str(error))
            self._events("warning", "walk_failed", reason=error.reason, error=str(error))
            raise
        taken = snapshot_of(
            seen,
            reason=reason,
            rss_bytes=read_level().rss_bytes,
            max_types=self.config.max_types,
        )
        self._snapshot_failure = None
        self._store.add(taken)
        self._events(
            "info", "snapshot_taken", id=taken.id, reason=reason, objects=taken.objects,
            rss_bytes=taken.rss_bytes, pause_s=round(taken.pause_s, 6),
            duration_s=round(taken.duration_s, 6), cpu_s=round(taken.cpu_s, 6), how=taken.how,
        )  # fmt: skip
        return taken

    def _gate(self) -> Gate:
        config = self.config
        return Gate(
            tokens=config.token,
            authorize=config.authorize,
            allow=config.allow,
            max_failures=config.max_auth_failures,
            clock=time.monotonic,
            on_error=lambda error: self._faults.count("authorize", error),
        )

    def _say_closed(self) -> None:
        if not self._said_closed:
            self._said_closed = True
            self._events(
                "warning", "debug_endpoints_closed",
                advice="set LEAKGUARD_TOKEN, or token=… or authorize=… of LeakGuard, to open them",
            )  # fmt: skip


def _walk_row(walk: Any) -> dict[str, Any]:
    return {
        name: getattr(walk, name)
        for name in ("how", "objects", "complete", "pause_s", "duration_s", "cpu_s")
    }

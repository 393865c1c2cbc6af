"""Open a trace as a request arrives, close it after the response."""

import asyncio
import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Sized
from time import perf_counter
from typing import Any
from weakref import ref

from ..core.faults import Faults
from ..core.fork import renew_after_fork
from ..core.registry import Registry, RouteRecord
from ..core.trace import CURRENT, Canary, OpenTrace, Trace
from .colony import RING, Colony
from .gauges import AllocationGauge, BlockSampler

_MAX_APPLICATIONS = 100
_LAST_PLACE = RING - 1
_numbers = itertools.count(1)
# What `threading.active_count` counts, without its lock: that would cost 0.2 us a request.
THREADS: Sized = threading._active  # type: ignore[attr-defined]


def _sleep(tracer: "Tracer") -> None:  # pragma: no cover - in a child, which nobody measures
    tracer.serving = False


class Tracer:
    """
    Open and close the traces of one guard. Neither call ever raises.

    Args:
        owner: Stands for the guard, in its traces.
        registry: Gets what each request did, by route.
        colony: Follows the canaries.
        faults: Counts errors of this part, `tracing`, and tells when it is off.
        on_serve: Called once in each process, as its first request arrives.
        on_rest: Called when the server shuts the application down.
    """

    def __init__(
        self,
        *,
        owner: object,
        registry: Registry,
        colony: Colony,
        faults: Faults,
        on_serve: Callable[[], None],
        on_rest: Callable[[], None],
    ) -> None:
        self.owner = owner
        self.registry = registry
        self.colony = colony
        self._contexts, self._scopes = colony.contexts, colony.scopes
        self.faults = faults
        self.gauge = AllocationGauge()
        self.sampler = BlockSampler()
        # Several guards may follow one request, each with a key of its own.
        self.key = f"leakguard.canary.{next(_numbers)}"
        self.on_trace: Callable[[Trace], None] | None = None
        self.serving = False
        self.own_threads = 1
        """Threads that disturb no figure: the serving one, and leakguard's monitor."""
        self._on_serve = on_serve
        self._on_rest = on_rest
        self._serials = itertools.count(1)
        # A child serves for itself: its first request starts a monitor of its own.
        renew_after_fork(self, _sleep)
        self._applications: list[weakref.ref[Any]] = []
        self._loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self.latest = 0
        self.active = 0

    def wraps(self, app: Any) -> None:
        """Remember *app*, weakly, as a place to start a walk from."""
        owner = getattr(app, "__self__", app)
        with contextlib.suppress(TypeError):  # cannot be referred to weakly
            if len(self._applications) < _MAX_APPLICATIONS:
                self._applications.append(weakref.ref(owner))

    def applications(self) -> list[Any]:
        """Return the wrapped applications that live."""
        return [app for each in self._applications if (app := each()) is not None]

    def loops(self) -> list[Any]:
        """Return the event loops that have served requests and live."""
        return list(self._loops)

    def open(self, scope: Any) -> OpenTrace | None:
        """
        Put a canary into *scope* (ASGI) or environ (WSGI) and return the open trace.

        Returns `None` where this guard follows the request already, or is switched off.
        """
        try:
            if self.key in scope or not (self.serving or self._wake()):
                return None
            trace = OpenTrace()
            trace.serial = self.latest = next(self._serials)
            trace.owner = self.owner
            outer = CURRENT.get()
            if outer is not None and outer.record is None:
                trace.outer = outer
            trace.scope = scope
            trace.collections = self.gauge.collections
            trace.canary = scope[self.key] = canary = Canary()
            canary.serial = trace.serial
            place = trace.serial & _LAST_PLACE
            before = self._contexts[place]
            if before() is not None:
                self.colony.keep(before)
            self._contexts[place] = ref(trace)
            other = self._scopes[place]
            if other() is not None:
                self.colony.keep(other)
            self._scopes[place] = ref(canary)
            if self.on_trace is not None:
                trace.opened_s = perf_counter()
            # A lost update between threads costs no more than a flag of one request.
            self.active += 1
        except Exception as error:
            self._fail(error)
            return None
        return trace

    def routes_under_way(self) -> list[RouteRecord]:
        """Return the route of each request in flight, as far as its router has come."""
        found = []
        for trace in self.colony.under_way():
            finder, scope = trace.finder, trace.scope
            if finder is not None and scope is not None:
                found.append(finder.record_of(trace, scope))
        return found

    def _wake(self) -> bool:
        """Begin to serve in this process; return whether this part is switched on."""
        if "tracing" in self.faults.off:
            return False
        self.serving = True
        self.active = 0
        # The running loop of this thread, without an error where there is none.
        loop = asyncio._get_running_loop()
        if loop is not None:
            self._loops.add(loop)
        self._on_serve()
        return True

    def _fail(self, error: Exception) -> None:
        self.faults.count("tracing", error)
        if "tracing" in self.faults.off:
            self.serving = False

    def rest(self) -> None:
        """Say that the application is shut down; the next request wakes this guard again."""
        self.serving = False
        try:
            self._on_rest()
        except Exception as error:
            self.faults.count("monitor", error)

    def close(self, trace: OpenTrace, record: RouteRecord) -> None:
        """Add what *trace* counted to its route's *record*; the request is over from here on."""
        try:
            trace.record = record
            if trace.canary is not None:
                trace.canary.record = record
            # The context may be kept: it must not keep the request.
            trace.scope = trace.canary = None
            self.active -= 1
            # No lock: without a call among them, CPython switches threads in none of these lines.
            record.requests += 1
            if trace.measured:
                record.measured += 1
                record.objects_all += trace.objects
            if trace.exclusive and trace.collections == self.gauge.collections:
                record.exclusive += 1
                record.objects += trace.objects
                if trace.blocks is not None:
                    record.blocks += trace.blocks
                    record.blocks_sampled += 1
            if trace.added or trace.removed:
                record.added += trace.added
                record.removed += trace.removed
                for registration in trace.registrations or ():
                    registration.record = record
                trace.registrations = None
            if self.on_trace is not None:
                self.on_trace(self._frozen(trace, record))
        except Exception as error:
            self._fail(error)

    def _frozen(self, trace: OpenTrace, record: RouteRecord) -> Trace:
        return Trace(
            route=record.route,
            method=record.method,
            status=int(str(trace.status)[:3]),
            duration_s=perf_counter() - trace.opened_s,
            objects=trace.objects if trace.measured else None,
            blocks=trace.blocks,
            listeners_added=trace.added,
            listeners_removed=trace.removed,
            retained_so_far=record.retained,
            exclusive=trace.exclusive and trace.collections == self.gauge.collections,
            in_flight=self.active,
        )

"""Servers that are started once and asked about many things."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .clients import Client
from .harness import TOKEN, RunningServer, ServerKind, skip_without, wait_until, why_missing
from .services import SERVED, Service

QUICK_PASSES = {
    "LEAKGUARD_TOKEN": TOKEN,
    "LEAKGUARD_INTERVAL_S": "0.2",
    "LEAKGUARD_CPU_BUDGET": "1",
}
MAX_ROUNDS = 12
AT_A_TIME = 3
PER_ROUND = 6
SLOW_PER_ROUND = 3


@dataclass
class Observed:
    """A service that has had traffic: what was sent so far, and what its workers say of it."""

    server: RunningServer
    service: Service
    sent: dict[int, Counter[str]] = field(default_factory=dict)
    reports: dict[int, dict[int, Any]] = field(default_factory=dict)

    def workers(self, concurrency: int) -> list[Any]:
        """Return the reports that were given after the traffic at *concurrency*."""
        return list(self.reports[concurrency].values())

    def suspects(self, concurrency: int, *, of: tuple[str, str]) -> list[Any]:
        """Return the suspects that name the route *of* a method and a template."""
        return [suspect for report in self.workers(concurrency) for suspect in report["suspects"]
                if of in named_by(suspect)]  # fmt: skip


def named_by(suspect: Any) -> set[tuple[str, str]]:
    """Return method and template of each route that a suspect names."""
    return {(each["method"], each["route"]) for each in suspect["routes"]}


def row_of(report: Any, route: tuple[str, str]) -> Any:
    """Return what a report says of one route, zeros where it was never asked for."""
    for row in report["routes"]:
        if (row["method"], row["route"]) == route:
            return row
    return {"requests": 0, "retained_requests": 0, "listeners_unreleased": 0, "in_flight": 0}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show the logs of the servers that a failed test was about."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            for server in _servers_in(value):
                report.sections.append((f"log of {server.kind}", server.log()[-5000:]))
    return report


def _servers_in(value: Any) -> list[RunningServer]:
    if isinstance(value, Observed):
        return [value.server]
    values = value if isinstance(value, tuple) else (value,)
    return [each for each in values if isinstance(each, RunningServer)]


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that servers run in and log to."""
    return tmp_path_factory.mktemp("servers")


class Fleet:
    """
    Start services and send them traffic ahead of the tests that look at them, some at a time.

    Args:
        wanted: The services, in the order in which they will be asked for.
        logs: Where they run.
    """

    def __init__(self, wanted: list[tuple[ServerKind, Service]], logs: Path) -> None:
        self._logs = logs
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._ready: dict[str, Future[Observed]] = {name_of(each): Future() for each in wanted}
        self._done = {name_of(each): threading.Event() for each in wanted}
        for each in wanted:
            self._pool.submit(self._serve, *each)

    def wait_for(self, name: str) -> Observed:
        """Return the service of this name once it has had its traffic."""
        return self._ready[name].result()

    def release(self, name: str) -> None:
        """End the service of this name."""
        self._done[name].set()

    def end(self) -> None:
        """End all services."""
        for each in self._done.values():
            each.set()
        self._pool.shutdown(cancel_futures=True)

    def _serve(self, kind: ServerKind, service: Service) -> None:
        name = name_of((kind, service))
        if self._done[name].is_set():
            return
        try:
            server = RunningServer(kind, service.target, self._logs, QUICK_PASSES)
        except BaseException as error:
            self._ready[name].set_exception(error)
            return
        try:
            self._ready[name].set_result(_observe(server, service))
            self._done[name].wait()
        except BaseException as error:
            error.add_note(server.log()[-5000:])
            self._ready[name].set_exception(error)
        finally:
            server.stop()


def name_of(served: tuple[ServerKind, Service]) -> str:
    """Return the name under which a served service is tested."""
    kind, service = served
    return f"{service.name}-{kind}"


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest, logs: Path) -> Iterator[Fleet]:
    """Return all services that the tests of this session ask for, and that can run here."""
    asked = [
        item.callspec.params["observed"]
        for item in request.session.items
        if "observed" in getattr(getattr(item, "callspec", None), "params", {})
    ]
    wanted = {name_of(each): each for each in asked if why_missing(*needs_of(each)) is None}
    fleet = Fleet(list(wanted.values()), logs)
    try:
        yield fleet
    finally:
        fleet.end()


def needs_of(served: tuple[ServerKind, Service]) -> tuple[str, ...]:
    """Return what must be installed for a service."""
    kind, service = served
    return (*kind.all_needs, "pyee", "blinker", *service.needs)


@pytest.fixture(scope="session", params=SERVED, ids=name_of)
def observed(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Observed]:
    """Return a service that was sent traffic one by one, and then 32 requests at a time."""
    reason = why_missing(*needs_of(request.param))
    if reason is not None:
        pytest.skip(reason)
    name = name_of(request.param)
    yield fleet.wait_for(name)
    fleet.release(name)


def _observe(server: RunningServer, service: Service) -> Observed:
    observed = Observed(server, service)
    total: Counter[str] = Counter()
    for concurrency, least in ((1, 4), (32, 2)):
        with Client(server, concurrency=concurrency) as client:
            for number in range(MAX_ROUNDS):
                client.send(service.plain, PER_ROUND)
                client.open_streams(service.streams, SLOW_PER_ROUND)
                client.open_sockets(service.sockets, SLOW_PER_ROUND)
                reports = server.after_passes(1)
                if number + 1 >= least and _all_confirmed(service, reports):
                    break
            wait_until(lambda: not _under_way(server), "no request is under way")
            total += client.sent
            observed.sent[concurrency] = total.copy()
            # While the connections are open, as each of them may keep its last request.
            observed.reports[concurrency] = server.after_passes(2)
    return observed


def _under_way(server: RunningServer) -> set[tuple[str, str]]:
    """Return the routes with requests that the server has not ended, as when a client has left."""
    return {
        (row["method"], row["route"])
        for report in server.reports().values()
        for row in report["routes"]
        if row["in_flight"]
    }


def _all_confirmed(service: Service, reports: dict[int, Any]) -> bool:
    confirmed = set()
    for report in reports.values():
        for suspect in report["suspects"]:
            if suspect["state"] == "confirmed":
                confirmed |= named_by(suspect)
    return all((leak.method, leak.route) in confirmed for leak in service.leaks.values())


@pytest.fixture(scope="module")
def twins(request: pytest.FixtureRequest, logs: Path) -> Iterator[tuple[RunningServer, ...]]:
    """Return one service twice: bare, and guarded but without a token."""
    kind, target = request.param
    skip_without(*kind.all_needs)
    running: list[RunningServer] = []
    try:
        for variables in ({"SERVE_BARE": "1"}, {"LEAKGUARD_INTERVAL_S": "0.2"}):
            running.append(RunningServer(kind, target, logs, variables))
        yield tuple(running)
    finally:
        for server in running:
            server.stop()


@pytest.fixture
def start(logs: Path) -> Iterator[Any]:
    """Return a function that starts a server, which the test may end itself."""
    running: list[RunningServer] = []

    def begin(kind: ServerKind, target: str, variables: dict[str, str]) -> RunningServer:
        skip_without(*kind.all_needs)
        running.append(RunningServer(kind, target, logs, variables))
        return running[-1]

    try:
        yield begin
    finally:
        for server in running:
            server.stop()

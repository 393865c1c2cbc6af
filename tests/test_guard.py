"""The guard as a whole: it names leaks by route, and leaves the process as it was."""

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import time

import blinker
import pyee
import pytest
import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from leakguard import (
    ConfigError,
    LeakGuard,
    LeakGuardMiddleware,
    SnapshotNotFoundError,
    WalkError,
    WatchError,
)

from .exchanges import ask, exchange, http_scope, requests, rows, said

BUS = pyee.EventEmitter()
HOLDING_BUS = pyee.EventEmitter()
SIGNAL = blinker.Signal()
KEPT = []
NAMES = []
LEAKING = [True]
"""Emptied when the leaks are mended."""


class Hub:
    """An emitter that leakguard does not know."""

    def __init__(self):
        self.subscribers = []

    def subscribe(self, event, listener):
        self.subscribers.append(listener)

    def unsubscribe(self, event, listener):
        self.subscribers.remove(listener)


HUB = Hub()


def text():
    return PlainTextResponse("text")


async def leaky_pyee(request):
    if LEAKING:
        BUS.on("tick", lambda: None)
    return text()


async def mended_pyee(request):
    listener = BUS.on("tick", lambda: None)
    try:
        return text()
    finally:
        BUS.remove_listener("tick", listener)


async def leaky_blinker(request):
    if LEAKING:
        SIGNAL.connect(lambda sender: None, weak=False)
    return text()


async def mended_blinker(request):
    def receiver(sender):
        """Do nothing."""

    SIGNAL.connect(receiver)
    return text()


async def leaky_hub(request):
    if LEAKING:
        HUB.subscribe("tick", lambda: None)
    return text()


async def mended_hub(request):
    def listener():
        """Do nothing."""

    HUB.subscribe("tick", listener)
    HUB.unsubscribe("tick", listener)
    return text()


async def leaky_list(request):
    if LEAKING:
        KEPT.append(request)
    return text()


async def mended_list(request):
    NAMES.append(request.url.path)
    return text()


async def leaky_closure(request):
    if LEAKING:
        HOLDING_BUS.on("tick", lambda: request)
    return text()


LEAKY = ("leaky_pyee", "leaky_blinker", "leaky_hub", "leaky_list", "leaky_closure")
MENDED = ("mended_pyee", "mended_blinker", "mended_hub", "mended_list")
ROUNDS, EACH = 6, 5


class Lines(logging.Handler):
    """Keep the events that are logged, with their keys."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.said = []

    def emit(self, record):
        self.said.append((record.getMessage().split(" ")[0], record.leakguard))

    def of(self, event):
        return [keys for name, keys in self.said if name == event]


class Story:
    """What a guard said of leaks that went on for some rounds, and were mended then."""

    def __init__(self):
        self.lines = Lines()
        self.first = self.during = self.after = None


@pytest.fixture(scope="module")
def story():
    """Return what becomes of leaks of all kinds, over as many passes as it takes."""
    story = Story()
    logger = logging.getLogger("leakguard")
    level = logger.level
    logger.addHandler(story.lines)
    logger.setLevel(logging.INFO)
    guard = LeakGuard(monitor=False)
    guard.watch(HUB)
    app = Starlette(
        routes=[Route(f"/{name}/{{id}}", globals()[name]) for name in (*LEAKY, *MENDED)]
    )
    app = guard.install(app)

    async def traffic(names):
        for name in names:
            for number in range(EACH):
                await exchange(app, http_scope(f"/{name}/{number}"))

    for number in range(ROUNDS):
        asyncio.run(traffic([*LEAKY, *MENDED]))
        story.during = guard.analyze()
        if number == 1:
            story.first = story.during
    for emitter in (BUS, HOLDING_BUS):
        emitter.remove_all_listeners()
    SIGNAL._clear_state()
    while HUB.subscribers:
        HUB.unsubscribe("tick", HUB.subscribers[0])
    KEPT.clear()
    NAMES.clear()
    LEAKING.clear()
    asyncio.run(traffic([*LEAKY, *MENDED]))
    story.after = guard.analyze()
    LEAKING.append(True)
    guard.close()
    logger.removeHandler(story.lines)
    logger.setLevel(level)
    return story


def of(report, name):
    """Return the suspects of a report that name a route."""
    return [
        each for each in report.suspects
        if any(share.route == f"/{name}/{{id}}" for share in each.routes)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "holder"),
    [
        ("leaky_pyee", "listener", "tests.test_guard.BUS"),
        ("leaky_blinker", "listener", "tests.test_guard.SIGNAL"),
        ("leaky_hub", "listener", "tests.test_guard.HUB"),
        ("leaky_list", "retained_request", "tests.test_guard.KEPT"),
        ("leaky_closure", "listener", "tests.test_guard.HOLDING_BUS"),
    ],
)
def test_leak_is_confirmed_once_with_route_count_and_holder(story, name, kind, holder):
    """
    Each cause is one suspect: the right route alone, the exact count, the name of its holder.
    """
    (suspect,) = of(story.during, name)

    assert (suspect.state, suspect.kind, suspect.holder) == ("confirmed", kind, holder)
    assert [(share.method, share.share) for share in suspect.routes] == [("GET", 1.0)]
    assert suspect.total.count == ROUNDS * EACH
    assert suspect.per_request.count == 1
    assert suspect.sites[0].file == __file__
    assert suspect.sites[0].function == name or f"{name}.<locals>" in suspect.sites[0].function
    assert suspect.path
    assert suspect.advice.endswith(".")


@pytest.mark.parametrize("name", MENDED)
def test_mended_twin_is_quiet(story, name):
    """
    A route that takes off what it puts on is no suspect, and has left nothing.
    """
    assert of(story.during, name) == []
    (row,) = (row for row in story.during.routes if row.route == f"/{name}/{{id}}")
    assert (row.requests, row.retained_requests, row.listeners_unreleased) == (ROUNDS * EACH, 0, 0)


def test_nothing_else_is_suspected(story):
    """
    There are as many suspects as causes.
    """
    assert len(story.during.suspects) == len(LEAKY)


def test_rows_count_what_is_left_behind(story):
    """
    Each route's row says how many requests and listeners it has left.
    """
    left = {
        row.route.split("/")[1]: (row.retained_requests, row.listeners_unreleased)
        for row in story.during.routes
    }

    count = ROUNDS * EACH
    assert left["leaky_pyee"] == left["leaky_hub"] == left["leaky_blinker"] == (0, count)
    assert left["leaky_list"] == (count, 0)
    assert left["leaky_closure"] == (count, count)


def test_listeners_are_listed(story):
    """
    The report lists the registrations of finished requests by line, with their emitter's name.
    """
    listed = {row["route"]: row for row in story.during.listeners}

    row = listed["/leaky_pyee/{id}"]
    assert (row["holder"], row["event"], row["count"]) == (
        "tests.test_guard.BUS", "tick", ROUNDS * EACH,
    )  # fmt: skip
    assert row["site"]["file"] == __file__
    assert row["method"] == "GET"


def test_listener_that_keeps_requests_says_so(story):
    """
    Requests that are kept through a listener are evidence for it, and their size is its size.
    """
    (suspect,) = of(story.during, "leaky_closure")

    assert f"{ROUNDS * EACH} requests that are over are kept through it" in suspect.evidence
    assert suspect.total.bytes > ROUNDS * EACH * 500


def test_leak_goes_from_suspect_to_confirmed_to_resolved(story):
    """
    Each state is logged once for each cause, in this order, and only the second is a warning.
    """
    ids = sorted(each.id for each in story.during.suspects)

    events = ("leak_suspected", "leak_confirmed", "leak_resolved")

    assert {each.state for each in story.first.suspects} == {"suspect"}
    assert {each.state for each in story.after.suspects} == {"resolved"}
    for event in events:
        assert sorted(line["id"] for line in story.lines.of(event)) == ids
    order = [name for name, keys in story.lines.said if keys.get("id") == ids[0]]
    assert order == list(events)


def test_log_lines_of_a_leak_name_it(story):
    """
    A line about a leak has route, holder, path, site, count and advice.
    """
    (line,) = (
        line for line in story.lines.of("leak_confirmed") if line["route"] == "/leaky_list/{id}"
    )

    assert set(line) == {
        "id", "route", "method", "kind", "holder", "path", "site", "count", "size_bytes",
        "per_request", "advice",
    }  # fmt: skip
    assert (line["holder"], line["method"]) == ("tests.test_guard.KEPT", "GET")
    assert " -> " in line["path"]
    assert "leaky_list" in line["site"]


def test_event_with_too_many_listeners_is_said_once(story):
    """
    More than ten listeners on one event are warned of once, with the line that adds them.
    """
    lines = story.lines.of("max_listeners_exceeded")

    assert all(
        line.keys() == {"emitter", "holder", "event_name", "count", "sites"} and line["count"] == 11
        for line in lines
    )
    assert "tests.test_guard.BUS" in {line["holder"] for line in lines}
    named = sorted(line["sites"][0].partition(" in ")[2].partition(",")[0] for line in lines)
    assert named == ["leaky_blinker", "leaky_closure", "leaky_hub", "leaky_pyee"]


def test_guard_measures_itself(story):
    """
    The report says what passes cost, what leakguard holds, and that nothing failed.
    """
    overhead = story.during.overhead

    assert overhead["passes"] == ROUNDS
    assert overhead["cpu_s"] > 0
    assert 0 < overhead["own_bytes"] < 5_000_000
    assert overhead["last_walk"]["how"] == "fork"
    assert overhead["last_walk"]["complete"]
    assert {"blinker", "pyee"} <= set(overhead["libraries"])
    assert story.during.errors["counts"] == {}
    assert story.during.errors["switched_off"] == []


@pytest.fixture
def guards():
    """Return a function that makes guards, and closes them at the end."""
    made = []

    def make(**settings):
        made.append(LeakGuard(**{"monitor": False, **settings}))
        return made[-1]

    yield make
    for guard in made:
        guard.close()
    KEPT.clear()
    for emitter in (BUS, HOLDING_BUS):
        emitter.remove_all_listeners()


@pytest.fixture
def guard(guards):
    return guards()


async def hello(scope, receive, send):
    await text()(scope, receive, send)


def test_report_has_all_fields_and_is_json(guard):
    """
    The fields of version 1 are all there, as plain values.
    """
    ask(guard.install(hello))
    report = guard.report()

    read = json.loads(report.to_json())

    assert read == report.to_dict()
    assert read["version"] == 1
    assert list(read) == [
        "version", "process", "trend", "routes", "suspects", "listeners", "connections",
        "resources", "overhead", "errors",
    ]  # fmt: skip
    assert {"pid", "started_at", "uptime_s", "rss_bytes", "heap_blocks", "limit_bytes", "gc",
            "python"} <= read["process"].keys()  # fmt: skip
    assert {"state", "bytes_per_hour", "limit_eta_s"} <= read["trend"].keys()
    assert {"route", "method", "requests", "in_flight", "objects_per_request",
            "blocks_per_request", "bytes_per_request", "retained_requests",
            "listeners_unreleased", "exclusive_share"} <= read["routes"][0].keys()  # fmt: skip


def test_suspects_in_the_report_have_all_fields(story):
    """
    A suspect has the fields of version 1, nested ones included.
    """
    for suspect in json.loads(story.during.to_json())["suspects"]:
        assert {"id", "state", "kind", "routes", "holder", "path", "per_request", "total", "sites",
                "first_seen", "last_seen", "evidence", "advice"} <= suspect.keys()  # fmt: skip
        assert suspect["routes"][0].keys() == {"route", "method", "share"}
        assert suspect["per_request"].keys() == suspect["total"].keys() == {"count", "bytes"}
        assert {"file", "line", "function"} <= suspect["sites"][0].keys()
        assert suspect["first_seen"] <= suspect["last_seen"]


def monitors():
    """Return the names of leakguard's threads."""
    return [each.name for each in threading.enumerate() if each.name.startswith("leakguard")]


async def lifespan_or_hello(scope, receive, send):
    if scope["type"] == "http":
        await hello(scope, receive, send)


def test_monitor_lives_from_the_first_request_to_the_shutdown(guards):
    """
    No thread before a request is served, none after the lifespan or `close`; a request restarts it.
    """
    guard = guards(monitor=True)
    app = guard.install(lifespan_or_hello)
    seen = [monitors()]

    def serve():
        ask(app)
        seen.append(monitors())

    serve()
    serve()
    asyncio.run(exchange(app, {"type": "lifespan"}))
    seen.append(monitors())
    serve()
    guard.close()
    guard.close()
    seen.append(monitors())
    serve()
    guard.close()

    one = ["leakguard-monitor"]
    assert seen == [[], one, one, [], one, [], one]
    assert monitors() == []


def test_monitor_takes_passes_by_itself(guards):
    """
    Without any call, passes are taken, and routes are summed up now and then.
    """
    guard = guards(monitor=True, interval_s=0.001, cpu_budget=1, summary_interval_s=0.001)
    ask(guard.install(hello))

    while guard.report().overhead["passes"] < 3:
        time.sleep(0.001)

    assert guard.report().overhead["monitor"]
    assert guard.report().errors["counts"] == {}


def test_broken_log_does_not_end_the_monitor(guards):
    """
    A service whose log raises keeps its monitor.
    """
    guard = guards(monitor=True, interval_s=0.001, cpu_budget=1, summary_interval_s=0.001)
    app = guard.install(hello)
    said_so = []

    def boom(*_):
        said_so.append(True)
        raise LookupError("own")

    structlog.configure(processors=[boom])
    try:
        ask(app)
        while len(said_so) < 2 and monitors():
            ask(app)
            time.sleep(0.001)
    finally:
        structlog.reset_defaults()

    assert monitors() == ["leakguard-monitor"]


def test_routes_are_summed_up_where_they_had_traffic(guards, caplog):
    """
    `route_summary` says one line for each route with requests since the last one.
    """
    caplog.set_level(logging.INFO, "leakguard")
    guard = guards(summary_interval_s=0.000001)
    app = guard.install(hello)
    ask(app)
    ask(app, "/", "POST")
    ask(app)

    guard._pass()
    guard._pass()

    lines = said(caplog, "route_summary")
    assert [(line["method"], line["route"], line["requests"]) for line in lines] == [
        ("GET", "<unmatched>", 2), ("POST", "<unmatched>", 1),
    ]  # fmt: skip
    assert set(lines[0]) == {
        "route", "method", "requests", "objects_per_request", "retained_requests",
        "listeners_unreleased", "exclusive_share",
    }  # fmt: skip


def test_level_debug_is_followed_while_serving(guards, caplog):
    """
    A service that turns on debug logs sees `request_traced` from the next pass on.
    """
    guard = guards(summary_interval_s=3600)
    app = guard.install(hello)
    ask(app)
    assert said(caplog, "request_traced") == []
    caplog.set_level(logging.DEBUG, "leakguard")

    guard._pass()
    ask(app)

    assert len(said(caplog, "request_traced")) == 1


FORKED = """
import asyncio, os, sys, threading
from leakguard import LeakGuard

guard = LeakGuard()

async def app(scope, receive, send):
    pass

app = guard.install(app)

def serve():
    asyncio.run(app({"type": "http", "method": "GET", "path": "/"}, None, None))
    return any(each.name == "leakguard-monitor" for each in threading.enumerate())

before = serve() if sys.argv[1] == "serving" else None
child = os.fork()
if child == 0:
    running = serve() and guard.report().overhead["monitor"]
    guard.close()
    os._exit(0 if running else 1)
_, status = os.waitpid(child, 0)
print(before, status, guard.report().overhead["monitor"])
"""


@pytest.mark.parametrize(
    ("parent", "expected"), [("idle", "None 0 False"), ("serving", "True 0 True")]
)
def test_forked_worker_has_a_monitor_of_its_own(parent, expected):
    """
    A worker forked from a parent, whether that has served or not, starts its own monitor.
    """
    seen = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, parent], capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    assert seen.stdout.strip() == expected


def test_close_puts_everything_back():
    """
    After `close` the collector, the libraries and the watched objects are as they were.
    """
    emitter, signal = pyee.EventEmitter, blinker.Signal
    hub = Hub()

    def replaced():
        names = ("_add_event_handler", "_remove_listener", "remove_all_listeners")
        return [
            *(vars(emitter)[name] for name in names), vars(signal)["connect"],
            vars(signal)["disconnect"], hub.subscribe.__func__ if "subscribe" not in vars(hub)
            else None, list(gc.callbacks),
        ]  # fmt: skip

    before = replaced()
    guard = LeakGuard(monitor=False)
    guard.watch(hub)
    ask(guard.install(hello))
    during = replaced()

    guard.close()
    guard.close()

    assert not [one for one, other in zip(before, during, strict=True) if one is other]
    assert replaced() == before
    assert vars(hub).keys() == {"subscribers"}


def test_guard_without_use_replaces_nothing_of_the_collector():
    """
    A guard that serves nothing has no thread and no callback.
    """
    before = list(gc.callbacks)

    guard = LeakGuard()

    assert gc.callbacks == before
    assert monitors() == []
    guard.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_route": 1}, r"^settings are allow, .*; got 'max_route'$"),
        ({"max_routes": 0}, r"^max_routes must be at least 1, got 0$"),
        ({"walk": "maybe"}, r"^walk must be one of auto, fork, inline, off, got 'maybe'$"),
        ({"allow": "10.0.0.0/33"}, r"^allow must hold networks such as .*, got '10.0.0.0/33'$"),
        ({"instrument": "rx"}, r"^instrument must name some of auto, .*; got 'rx'$"),
        ({"prefix": "debug/"}, r"^prefix must be a path that starts with /"),
    ],
)
def test_wrong_setting_is_refused(settings, message):
    """
    The error says what is allowed and what was given.
    """
    with pytest.raises(ConfigError, match=message):
        LeakGuard(**settings)


def test_watch_needs_methods(guard):
    """
    An object without the methods cannot be watched, and the error names what is missing.
    """
    with pytest.raises(WatchError, match="watch needs a method named 'subscribe', list has none"):
        guard.watch([])


def test_inline_walk_names_holders_too(guards):
    """
    Where forking is unsuitable the same is found inline, with counts and without sizes.
    """
    guard = guards(walk="inline", inline_budget_s=60)
    app = LeakGuardMiddleware(Starlette(routes=[Route("/leak", leaky_list)]), guard=guard)

    for _ in range(3):
        for _ in range(3):
            ask(app, "/leak")
        report = guard.analyze()

    (suspect,) = report.suspects
    assert suspect.holder == "tests.test_guard.KEPT"
    assert (suspect.total.count, suspect.total.bytes) == (9, None)
    assert report.overhead["last_walk"]["how"] == "inline"


def test_without_walks_listeners_are_known_all_the_same(guards, caplog):
    """
    With `walk='off'` what needs no walk goes on: the ledger's suspects, rows and warnings.
    """
    guard = guards(walk="off", max_listeners=2)
    app = LeakGuardMiddleware(Starlette(routes=[Route("/leak", leaky_pyee)]), guard=guard)

    for _ in range(3):
        for _ in range(3):
            ask(app, "/leak")
        report = guard.analyze()

    assert rows(guard)["GET", "/leak"].listeners_unreleased == 9
    (suspect,) = report.suspects
    assert (suspect.kind, suspect.total.count) == ("listener", 9)
    assert len(said(caplog, "max_listeners_exceeded")) == 1
    assert [line["reason"] for line in said(caplog, "walk_failed")] in ([], ["off"])
    assert report.errors["counts"] == {}


def test_without_walks_retained_requests_are_not_guessed(guards, caplog):
    """
    With `walk='off'` nothing is said of requests that live on, and the log says why, once.
    """
    guard = guards(walk="off")
    app = LeakGuardMiddleware(Starlette(routes=[Route("/leak", leaky_list)]), guard=guard)

    for _ in range(3):
        ask(app, "/leak")
        report = guard.analyze()

    assert report.suspects == ()
    assert [line["reason"] for line in said(caplog, "walk_failed")] == ["off"]
    with pytest.raises(WalkError, match="walks are switched off"):
        guard.snapshot()


def test_snapshots_are_kept_and_compared(guards, caplog):
    """
    `snapshot` counts objects by type and keeps the result until it is deleted.
    """
    caplog.set_level(logging.INFO, "leakguard")
    guard = guards(walk="inline", inline_budget_s=0.01)

    first, second = guard.snapshot(reason="before"), guard.snapshot(reason="after")

    assert guard.all_snapshots() == [first, second]
    assert guard.find_snapshot(first.id) is first
    assert guard.snapshot_before(second) is first
    assert guard.snapshot_before(first) is None
    assert guard.recent_snapshot() is second
    guard.delete_snapshot(first.id)
    with pytest.raises(SnapshotNotFoundError, match=f"kept are: {second.id}$"):
        guard.find_snapshot(first.id)
    lines = said(caplog, "snapshot_taken")
    assert [(line["id"], line["reason"]) for line in lines] == [
        (first.id, "before"), (second.id, "after"),
    ]  # fmt: skip


def test_own_memory_can_be_measured(guards):
    """
    `own_bytes` tells what leakguard's stores hold, where sizes can be measured.
    """
    assert 0 < guards().own_bytes() < 5_000_000
    assert guards(walk="inline").own_bytes() is None


def test_growth_without_traffic_is_no_leak(guard):
    """
    Requests alone are the clock: passes without them suspect nothing.
    """
    app = LeakGuardMiddleware(Starlette(routes=[Route("/leak", leaky_pyee)]), guard=guard)
    for _ in range(20):
        ask(app, "/leak")

    reports = [guard.analyze() for _ in range(6)]

    assert [report.suspects for report in reports] == [()] * 6


def test_guards_of_two_applications_keep_their_listeners_apart(guards):
    """
    What one application's requests leave is reported by its own guard, and by no other.
    """
    leaky, innocent = guards(), guards()
    app = LeakGuardMiddleware(Starlette(routes=[Route("/leak", leaky_pyee)]), guard=leaky)
    ask(LeakGuardMiddleware(hello, guard=innocent))
    for _ in range(3):
        ask(app, "/leak")

    for guard in (leaky, innocent):
        guard.analyze()

    assert rows(leaky)["GET", "/leak"].listeners_unreleased == 3
    assert innocent.report().listeners == []


def test_two_guards_around_one_application_both_count_its_listeners(guards, caplog):
    """
    Each of two guards on one application counts every listener, once.
    """
    inner, outer = guards(), guards()
    app = LeakGuardMiddleware(
        LeakGuardMiddleware(Starlette(routes=[Route("/leak", leaky_pyee)]), guard=inner),
        guard=outer,
    )
    for _ in range(3):
        ask(app, "/leak")

    for guard in (inner, outer):
        guard.analyze()

    assert rows(inner)["GET", "/leak"].listeners_unreleased == 3
    assert rows(outer)["GET", "/leak"].listeners_unreleased == 3
    assert requests(inner) == requests(outer) == {"GET /leak": 3}

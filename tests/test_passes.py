"""One pass after another: counts stay right, and a pass that fails does no harm."""

import asyncio

import pyee
import pytest

from leakguard import LeakGuard, LeakGuardMiddleware, WalkError
from leakguard.core.holding import Examination, HeldGroup

from .exchanges import exchange, http_scope, rows, said

KEPT = []


class Examiner:
    """Find every survivor in one list, without a walk."""

    def __init__(self, *, harmless=False):
        self.harmless = harmless
        self.error = None
        self.asked = 0

    def examine(self, question):
        self.asked += 1
        if self.error is not None:
            raise self.error
        serials = tuple(target.serial for target in question.targets)
        group = HeldGroup(
            serials=serials, path=("app.kept: list", "[*]: Request"), holder="app.kept",
            site=None, emitter=None, harmless=self.harmless, size_bytes=100 * len(serials),
        )  # fmt: skip
        return Examination(
            groups=(group,) if serials else (), unreached=(), types=(), objects=1,
            emitter_names=(None,) * len(question.emitters), how="inline", complete=True,
            own_bytes=None, pause_s=0.0, duration_s=0.0, cpu_s=0.25,
        )  # fmt: skip


@pytest.fixture
def served(monkeypatch):
    """Return a function that makes a guard over a leaky application, and a way to its traffic."""

    async def leaky(scope, receive, send):
        KEPT.append(scope)

    def make(examiner=None, **settings):
        guard = LeakGuard(monitor=False, **settings)
        guard.examiner = examiner or Examiner()
        monkeypatch.setattr(guard._passes, "_examiner", guard.examiner)
        app = LeakGuardMiddleware(leaky, guard=guard)

        async def traffic(count):
            for _ in range(count):
                await exchange(app, http_scope())

        made.append(guard)
        return guard, lambda count: asyncio.run(traffic(count))

    made = []
    yield make
    KEPT.clear()
    for guard in made:
        guard.close()


def retained(guard):
    return rows(guard)["GET", "<unmatched>"].retained_requests


def test_pass_without_survivors_takes_no_walk(served):
    """
    Where nothing is left behind, a pass costs no walk.
    """
    guard, traffic = served()
    traffic(3)
    KEPT.clear()

    guard.analyze()

    assert guard.examiner.asked == 0
    assert guard.report().overhead["passes"] == 1


def test_cpu_time_of_the_walk_is_part_of_the_pass(served):
    """
    What a child used counts into the budget.
    """
    guard, traffic = served()
    traffic(3)

    cost_s = guard._passes.take()

    assert cost_s >= 0.25
    assert guard.report().overhead["cpu_s"] >= 0.25


def test_harmless_survivors_are_not_counted(served):
    """
    Requests that only a server's connection holds are nothing to speak of.
    """
    guard, traffic = served(Examiner(harmless=True))

    for _ in range(5):
        traffic(5)
        guard.analyze()

    assert retained(guard) == 0
    assert guard.report().suspects == ()


def test_harmless_survivors_are_not_let_go(served):
    """
    Only survivors whose holder is known and counted are followed no longer.
    """
    guard, traffic = served(Examiner(harmless=True), max_survivors=10)
    traffic(50)

    guard.analyze()

    assert len(guard.tracer.colony.survivors()) == 50


def test_emitter_without_a_name_is_asked_for_again(served):
    """
    An emitter that no walk can name has no holder in the report, but its listeners count.
    """
    guard, _ = served()
    emitter = pyee.EventEmitter()

    async def leaky(scope, receive, send):
        emitter.on("tick", lambda: None)

    asyncio.run(exchange(LeakGuardMiddleware(leaky, guard=guard), http_scope()))

    for _ in range(2):
        guard.analyze()

    (row,) = guard.report().listeners
    assert (row["holder"], row["count"]) == (None, 1)
    assert guard.examiner.asked == 2


def test_count_stays_as_it_is_without_traffic(served):
    """
    Passes do not add to what is there, also where survivors crowd their bound.
    """
    guard, traffic = served(max_survivors=100)
    traffic(60)

    counts = []
    for _ in range(5):
        guard.analyze()
        counts.append(retained(guard))

    assert counts == [60] * 5


@pytest.mark.parametrize("bound", [100, 400, 1000])
def test_count_is_right_beyond_the_bound_of_survivors(served, bound):
    """
    Letting go of old survivors, whose holder is known, keeps every one of them counted.
    """
    guard, traffic = served(max_survivors=bound)

    counts = []
    for _ in range(20):
        traffic(40)
        guard.analyze()
        counts.append(retained(guard))

    assert counts == [40 * number for number in range(1, 21)]
    (suspect,) = guard.report().suspects
    assert (suspect.state, suspect.total.count, suspect.per_request.count) == ("confirmed", 800, 1)
    assert guard.report().overhead["canaries_missed"] == 0


def test_forgotten_survivors_are_gone_with_their_group(served):
    """
    Once the holder lets go of all, none of those followed no longer is counted.
    """
    guard, traffic = served(max_survivors=100)
    for _ in range(10):
        traffic(60)
        guard.analyze()
    KEPT.clear()

    guard.analyze()

    assert retained(guard) == 0


def test_survivors_beyond_the_bound_are_reported_as_missed(served):
    """
    What finds no room between two passes is not counted, and the report says how many.
    """
    guard, traffic = served(max_survivors=10)

    traffic(400)
    guard.analyze()

    missed = guard.report().overhead["canaries_missed"]
    assert missed > 0
    assert retained(guard) + missed >= 400


def test_failing_walk_is_said_once_and_again_after_a_good_one(served, caplog):
    """
    A reason is repeated only when it has changed or there was a walk in between.
    """
    guard, traffic = served()
    traffic(3)
    examiner = guard.examiner

    for error in (
        WalkError("headroom", "too little"), WalkError("headroom", "too little"),
        WalkError("deadline", "too slow"), None, WalkError("deadline", "too slow"),
    ):  # fmt: skip
        examiner.error = error
        guard.analyze()

    reasons = [line["reason"] for line in said(caplog, "walk_failed")]
    assert reasons == ["headroom", "deadline", "deadline"]
    assert guard.report().errors["counts"] == {}
    assert retained(guard) == 3


def test_failing_pass_is_counted_and_harms_nobody(served, caplog):
    """
    An error inside a pass is counted, said once, and the report is given all the same.
    """
    guard, traffic = served()
    traffic(3)
    guard.examiner.error = LookupError("own")

    reports = [guard.analyze() for _ in range(2)]

    assert reports[-1].errors["counts"] == {"passes": 2}
    assert len(said(caplog, "part_failed")) == 1
    assert reports[-1].overhead["passes"] == 2


def test_failing_pass_is_given_up(served, caplog):
    """
    After `max_errors` no further pass is tried, and the log and the report say so.
    """
    guard, traffic = served(max_errors=2)
    traffic(3)
    guard.examiner.error = LookupError("own")

    for _ in range(5):
        report = guard.analyze()

    assert report.errors["counts"] == {"passes": 2}
    assert report.errors["switched_off"] == ["passes"]
    assert guard.examiner.asked == 2
    assert len(said(caplog, "part_switched_off")) == 1


def test_request_that_a_pass_looks_at_is_let_go(served):
    """
    After a pass neither it nor its report holds what it has looked at.
    """
    guard, traffic = served()
    traffic(3)
    report = guard.analyze()
    KEPT.clear()

    assert guard.tracer.colony.survivors() == []
    assert report.suspects == ()

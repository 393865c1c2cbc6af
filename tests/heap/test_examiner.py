"""One walk: in a forked child, or inline."""

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from leakguard.core.registry import Registry
from leakguard.core.trace import Canary, OpenTrace
from leakguard.exceptions import WalkError
from leakguard.heap import examiner as examiner_module
from leakguard.heap.examiner import Examiner, Question
from leakguard.heap.holders import Target
from leakguard.heap.walk import Root
from leakguard.instrumentation.ledger import Ledger

forks = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
MODES = [pytest.param("fork", marks=forks), "inline"]


class Hub:
    def __init__(self):
        self.subscribers = []


def examiner(mode, **settings):
    defaults = {"deadline_s": 60, "inline_budget_s": 60, "headroom": lambda: None}
    return Examiner(mode=mode, **(defaults | settings))


def canary(serial=1):
    found = Canary()
    found.serial = serial
    return found


@pytest.mark.parametrize("mode", MODES)
def test_holders_are_found(mode, shop):
    """
    Forked or inline, requests are found in the service's modules, with their holder's name.
    """
    shop.hub = Hub()
    found = [canary(1), canary(2)]
    shop.hub.subscribers += [{"scope": each} for each in found]

    seen = examiner(mode).examine(
        Question(
            targets=[Target(each.serial, (each,)) for each in found],
            emitters=[shop.hub],
        )
    )

    (group,) = seen.groups
    assert group.serials == (1, 2)
    assert group.holder == "shop.hub.subscribers"
    assert group.path == ("shop.hub: Hub", ".subscribers: list", "[*]: dict")
    assert group.emitter == 0
    assert not group.harmless
    assert seen.emitter_names == ("shop.hub",)
    assert (seen.how, seen.complete, seen.types) == (mode, True, ())
    assert (group.size_bytes is None) is (mode == "inline")
    assert seen.objects > 10_000


@pytest.mark.parametrize("mode", MODES)
def test_code_on_the_way_is_the_site(mode, shop):
    """
    A callback that remembers its request is named with file and line.
    """
    kept = canary()

    def callback():
        return kept

    shop.callbacks = [callback]

    seen = examiner(mode).examine(Question(targets=[Target(1, (kept,))]))

    (group,) = seen.groups
    assert (group.site.file, group.site.line) == (__file__, callback.__code__.co_firstlineno)


@pytest.mark.parametrize("mode", MODES)
def test_frozen_service_without_a_collector_is_walked(mode, shop):
    """
    `gc.freeze()` and `gc.disable()` hide nothing, and stay.
    """
    kept = canary()
    shop.kept = {"plain": (1, {"scope": kept})}
    gc.disable()
    gc.freeze()
    frozen = gc.get_freeze_count()

    seen = examiner(mode).examine(Question(targets=[Target(1, (kept,))]))

    assert [group.holder for group in seen.groups] == ["shop.kept"]
    assert (gc.isenabled(), gc.get_freeze_count()) == (False, frozen)


@pytest.mark.parametrize("mode", MODES)
def test_cycles_that_wait_for_the_collector_are_unreached(mode):
    """
    Garbage is not held by anybody.
    """
    gc.collect()
    gc.disable()
    cycle = [canary()]
    cycle.append(cycle)
    box = [cycle[0]]
    del cycle

    seen = examiner(mode).examine(Question(targets=[Target(1, (box.pop(),))]))

    assert seen.unreached == (1,), seen.groups
    assert seen.groups == ()


@pytest.mark.parametrize("mode", MODES)
def test_applications_are_roots(mode):
    """
    An application that no module refers to is a place to start from.
    """
    app, kept = Hub(), canary()
    app.subscribers.append(kept)

    seen = examiner(mode).examine(
        Question(targets=[Target(1, (kept,))], applications=[Root("<application Hub>", app)])
    )

    assert [group.holder for group in seen.groups] == ["<application Hub>.subscribers"]


@pytest.mark.parametrize("mode", MODES)
def test_census_counts_the_services_objects(mode, shop):
    """
    Objects are counted by type; sizes are measured in a child only.
    """
    kind = type("Gadget", (), {"__module__": "shop"})
    shop.gadgets = [kind() for _ in range(321)]

    seen = examiner(mode).examine(Question(census=True))

    (row,) = [row for row in seen.types if row.type == "shop.Gadget"]
    assert row.count == 321
    assert (row.size_bytes is None) is (mode == "inline")


@pytest.mark.parametrize("mode", MODES)
def test_own_objects_are_not_in_the_census(mode, shop):
    """
    leakguard does not show itself among the service's objects.
    """
    shop.scopes = [{"canary": canary()} for _ in range(10)]
    shop.contexts = [OpenTrace() for _ in range(10)]
    shop.registry = Registry(max_routes=5)

    seen = examiner(mode).examine(Question(census=True))

    assert [row.type for row in seen.types if row.type.startswith("leakguard.")] == []


@pytest.mark.parametrize("mode", MODES)
def test_types_of_one_name_have_one_row(mode, shop):
    """
    Classes that are made again and again, as by a function, are counted together.
    """
    kinds = [type("Gadget", (), {"__module__": "shop"}) for _ in range(3)]
    shop.gadgets = [kind() for kind in kinds]

    seen = examiner(mode).examine(Question(census=True))

    assert [row.count for row in seen.types if row.type == "shop.Gadget"] == [3]


@forks
def test_own_stores_are_measured(faults):
    """
    What leakguard holds itself is known, and grows with what it holds.
    """
    small, large = Registry(max_routes=5), Registry(max_routes=5000)
    for number in range(5000):
        large.record("GET", f"/{number}")
    ledger = Ledger(owner=small, max_registrations=5, max_listeners=5, faults=faults)

    one = examiner("fork").examine(Question(own=[small, ledger]))
    other = examiner("fork").examine(Question(own=[small, large, ledger]))

    assert 0 < one.own_bytes < 1_000_000
    assert other.own_bytes - one.own_bytes > 5000 * 100


def test_own_size_is_not_known_inline():
    """
    Measuring runs code, which an inline walk must not.
    """
    seen = examiner("inline").examine(Question(own=[Registry(max_routes=5)]))

    assert seen.own_bytes is None


@forks
def test_running_function_is_a_holder():
    """
    What only a local variable of another thread keeps is named by the function.
    """
    ready, done, box, kept = threading.Event(), threading.Event(), [{"scope": canary()}], []

    def serve(jobs):
        job = jobs.pop()
        ready.set()
        done.wait()
        kept.append(len(job))

    thread = threading.Thread(target=serve, args=(box,))
    targets = [Target(1, (box[0]["scope"],))]
    thread.start()
    ready.wait()

    seen = examiner("fork").examine(Question(targets=[targets.pop()]))
    done.set()
    thread.join()

    (group,) = seen.groups
    assert group.holder == f"{__name__}.{serve.__qualname__}().job", group


@forks
def test_thread_is_a_holder_by_its_arguments():
    """
    What a thread was handed is named by the list of living threads.
    """
    done, kept = threading.Event(), canary()
    thread = threading.Thread(target=lambda _: done.wait(), args=({"scope": kept},))
    thread.start()

    seen = examiner("fork").examine(Question(targets=[Target(1, (kept,))]))
    done.set()
    thread.join()

    (group,) = seen.groups
    assert group.holder == "threading._active"
    assert not group.harmless


def test_walks_can_be_switched_off():
    """
    The setting `off` is a reason of its own.
    """
    with pytest.raises(WalkError, match="switched off") as caught:
        examiner("off").examine(Question())

    assert caught.value.reason == "off"


def test_fork_is_refused_where_it_is_unsafe(monkeypatch):
    """
    Asked for by name on another system, the walk says why it does not happen.
    """
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(WalkError, match="needs Linux, this is darwin") as caught:
        examiner("fork").examine(Question())

    assert caught.value.reason == "refused"


@pytest.mark.parametrize(
    ("platform", "how"),
    [pytest.param("linux", "fork", marks=forks), pytest.param("darwin", "inline")],
)
def test_auto_forks_where_it_is_safe(platform, how, monkeypatch):
    """
    Elsewhere the walk is inline.
    """
    monkeypatch.setattr(sys, "platform", platform)

    assert examiner("auto").how == how


@forks
def test_missing_headroom_refuses_the_walk():
    """
    Where memory does not suffice nothing is forked, and the next walk has its turn.
    """

    def refuse():
        raise WalkError("headroom", "too little")

    with pytest.raises(WalkError) as caught:
        examiner("fork", headroom=refuse).examine(Question())

    assert caught.value.reason == "headroom"
    assert examiner("fork").examine(Question()).complete


def test_inline_walk_stops_at_its_budget():
    """
    Out of time, the walk has an answer that says so.
    """
    seen = examiner("inline", inline_budget_s=1e-9).examine(Question(census=True))

    assert not seen.complete
    assert seen.objects < 100_000


def test_walk_under_way_makes_others_wait_and_give_up():
    """
    One walk at a time in a process; a second one waits, but not for ever.
    """
    waiting, done = threading.Event(), threading.Event()

    def hold():
        waiting.set()
        done.wait()

    slow = examiner("fork", headroom=hold)
    slow.how = "fork"
    thread = threading.Thread(target=lambda: slow.examine(Question()))
    thread.start()
    waiting.wait()

    with pytest.raises(WalkError) as caught:
        examiner("inline", deadline_s=0.01).examine(Question())
    done.set()
    thread.join()

    assert caught.value.reason == "busy"
    assert examiner("inline").examine(Question()).complete


@forks
def test_walks_of_several_guards_are_one_at_a_time():
    """
    Four examiners in four threads never have two children at once.
    """
    children = []

    def look():
        children.append(len(psutil.Process().children()))

    with ThreadPoolExecutor(4) as pool:
        seen = list(
            pool.map(lambda _: examiner("fork", headroom=look).examine(Question()), range(4))
        )

    assert children == [0, 0, 0, 0]
    assert all(each.complete for each in seen)


@forks
def test_parents_walk_is_not_under_way_in_a_child():
    """
    A worker that is forked while its master walks can walk itself.
    """
    turn = examiner_module._Turn()
    turn.take(0)

    child = os.fork()
    if child == 0:
        os._exit(7 if turn.take(0) else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert not turn.take(0)


def test_turn_of_another_process_is_free(monkeypatch):
    """
    The process's number tells whose turn it is.
    """
    turn = examiner_module._Turn()
    turn.take(0)
    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert turn.take(0)
